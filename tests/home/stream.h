/* stream.h - history/stream: what was, what the recorder had not committed yet, and what comes. */
#ifndef HOME_STREAM_H
#define HOME_STREAM_H

#include "home.h"

/* The first message, with what is there; `ended`: the question's end has passed, nothing follows. */
void stream_open(struct session *, int64_t id, const struct question *, bool ended);
bool stream_close(struct home *, int session_number, int64_t id); /* id 0: all of that session */
void stream_happening(struct home *, const struct happening *);
void stream_tick(struct home *);

#endif

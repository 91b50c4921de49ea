/* again.h - a frame given back: it is cut as if it had just come over the socket. */
#ifndef AGAIN_H
#define AGAIN_H

#include "capture.h"
#include "schemas.h"
#include "split.h"

/* What the capture log takes of it: every event message counts, whatever its id, and it came over
 * no connection (session 0). `items` gets its events; both borrow the query's bytes. 0, or -1 with
 * *why (static text): there is no event in it. */
int again_cut(split_t *, const struct again_query *, int64_t now_us, struct capture_record *, struct items *, const char **why);

#endif

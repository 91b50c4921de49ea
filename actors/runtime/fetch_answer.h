/* fetch_answer.h - what the program `fetch` says, read with distrust: it is where the internet is let in. */
#ifndef FETCH_ANSWER_H
#define FETCH_ANSWER_H

#include "fetch_wire.h"

#include <msgpack.h>
#include <stddef.h>

struct fetch_answer {
    size_t body_max;                         /* set before the first byte; so many bytes are kept, at most */
    msgpack_sbuffer body;                    /* the owner's to destroy */
    char etag[FETCH_WORDS], modified[FETCH_DATE], error[FETCH_WORDS]; /* "": not said */
    struct fetch_end end;
    bool is_whole;                           /* the end has come */

    unsigned char head[FETCH_HEAD], piece[FETCH_WORDS]; /* of the field that is being read */
    size_t head_size, piece_size;
    uint32_t left;
};

enum fetch_verdict { FETCH_TAKEN, FETCH_NONSENSE, FETCH_TOO_LARGE };

/* Forgets what was said before; body_max stays. */
void fetch_answer_begin(struct fetch_answer *);

/* Whatever of it has come. After anything but FETCH_TAKEN nothing more may be handed over. */
enum fetch_verdict fetch_answer_take(struct fetch_answer *, const void *bytes, size_t size);

#endif

/* paged.h - one reply made of many pages: the next is asked for when what the last one gave has been written.
 *
 * A reply of one page has a length, an ETag, and is told by 304 where the client has it. One of more is sent in chunks;
 * a failure in mid-stream closes the connection without the last chunk, so that half of it is never whole. */
#ifndef PAGED_H
#define PAGED_H

#include "gateway.h"

struct paged_kind {
    const struct contract *service;     /* its query has a text `cursor` */
    /* Append what a page says: with the first what comes before it all, with the last (no cursor is set) what ends it.
     * -1: it cannot be read. */
    int (*write)(paged_t *, const struct answer *, msgpack_sbuffer *to);
    void (*destroy)(void *state);       /* NULL: free */
    const char *(*rename)(const char *field); /* a field of the service's query, as the client knows it; NULL: the same */
};

struct paged {
    const struct paged_kind *kind;
    connection_t *connection;
    void *query, *state;       /* owned */
    bool first, begun;         /* write: this is the first page; its head has been written */
    bool is_streaming;         /* counts among PAGED_MAX */
    bool is_closed;            /* what it tells is over for good */
    char cursor[161];          /* set by write, "" at the end */
    int64_t rows, failed_us;   /* rows: for write to count */
};

/* Ask; query and state are taken. */
void paged_start(connection_t *, const struct paged_kind *, void *query, void *state);

/* For a route of shape WHOLE: self->query has been read. */
void paged_listing(connection_t *);

#endif

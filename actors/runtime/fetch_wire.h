/* fetch_wire.h - what an actor and the program `fetch` say to each other over one socket.
 *
 * Either side says fields: a tag, the size of what follows in four bytes of this machine, and that many bytes. Both are of
 * one build. A secret goes this way only: neither arguments nor environment hold one. */
#ifndef FETCH_WIRE_H
#define FETCH_WIRE_H

#include <stdbool.h>
#include <stdint.h>

enum fetch_tag {
    /* the request, in any order, with FETCH_GO as its end */
    FETCH_URL = 'u',        /* with its query, escaped */
    FETCH_HEADER = 'h',     /* a line without its end; any number */
    FETCH_LOGIN = 'l',      /* user:password */
    FETCH_POST = 'p',       /* what is posted; not there: GET */
    FETCH_CA = 'c',         /* PEM file with the certificates to trust; not there: the system's */
    FETCH_GO = 'g',         /* struct fetch_way */
    /* the answer, FETCH_BODY as often as need be, with FETCH_END as its end */
    FETCH_BODY = 'b',       /* unpacked; at most FETCH_PIECE */
    FETCH_ETAG = 'e', FETCH_MODIFIED = 'm',
    FETCH_ERROR = 'x',      /* why there is no whole answer: the words of the library */
    FETCH_END = 'r'         /* struct fetch_end */
};

enum { FETCH_REQUEST = 64 * 1024, FETCH_PIECE = 64 * 1024, FETCH_HEAD = 5, FETCH_WORDS = 256, FETCH_DATE = 64 };

struct fetch_way {
    uint64_t body_max;      /* bytes, after unpacking */
    uint32_t timeout_ms;
    bool follows;           /* redirects; never where something of ours would be told to somebody else */
    bool is_digest, is_unverified;
};

struct fetch_end {
    int64_t retry_after_s;  /* -1: not said */
    int32_t status;         /* of HTTP; 0: there was none */
    bool is_final;          /* it failed, and trying again will not help */
    bool is_too_large;
};

#endif

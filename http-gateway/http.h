/* http.h - the syntax of HTTP/1.1 requests, read strictly and without copying.
 *
 * What could be read in two ways is refused: a repeated or contradicting length, a folded
 * line, a space before a colon, a line that does not end with CR LF. */
#ifndef HTTP_H
#define HTTP_H

#include "schema.h"

enum {
    HEAD_MAX = 16384,   /* request line and headers */
    TARGET_MAX = 8192,
    HEADERS_MAX = 100
};

enum method { GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, OTHER_METHOD };
extern const char *const method_names[OTHER_METHOD]; /* "GET" ... */
bool method_has_body(enum method);                   /* one that means something */

/* A request without its body. Slices point into the input. */
struct head {
    enum method method;
    int minor;               /* of HTTP/1.x */
    struct slice target;
    struct slice host;       /* of the Host header, or of an absolute target */
    struct slice content_type, accept, origin, correlation_id, request_id, last_event_id, if_none_match;
    bool has_host, keep_alive, chunked, has_length, wants_continue;
    int64_t length;
};

enum { READ_WHOLE = 0, READ_MORE = -1 }; /* else the status to refuse with */

/* Read a head from the start of `input`. READ_WHOLE with *size, the bytes it took; READ_MORE;
 * or a status such as 400, 414, 431, 501, 505, with *why static text. `scanned` starts at 0
 * and remembers how far the input was searched. */
int head_read(struct slice input, size_t *scanned, struct head *, size_t *size, const char **why);

/* Where a chunked body stands. Starts zeroed. */
struct chunked { enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER } at; uint64_t left; size_t line; };

/* Take what there is of a chunked body; its data is appended to `body`. *used tells how much
 * of the input it took, also with READ_MORE. 413 beyond `most` bytes. */
int chunked_read(struct chunked *, struct slice input, size_t *used, size_t most, msgpack_sbuffer *body, const char **why);

bool slice_is(struct slice, const char *text);       /* equal, case and all */
bool slice_is_nocase(struct slice, const char *text);
const char *status_text(int status);

#endif

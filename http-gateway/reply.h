/* reply.h - what a client is told: heads, JSON envelopes, errors. */
#ifndef REPLY_H
#define REPLY_H

#include "gateway.h"

/* Append text to a buffer. */
void put(msgpack_sbuffer *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
void put_slice(msgpack_sbuffer *to, struct slice);
void put_json(msgpack_sbuffer *to, const char *text);          /* as a JSON string; NULL: null */
void put_time(msgpack_sbuffer *to, int64_t at_us);             /* as a JSON string */

void put_event_line(msgpack_sbuffer *to, const struct event_full *); /* as JSON without a line break */

/* The rows of a listing as JSON objects, separated by commas. How many, or -1 if one does not decode. */
int64_t put_rows(struct self *, const struct contract *service, struct slice rows, msgpack_sbuffer *to);

enum framing { WITH_LENGTH, CHUNKED, UNTIL_CLOSE };

/* A head; `size` counts WITH_LENGTH only. `extra` are whole lines, each with CR LF. */
void reply_head(connection_t *, int status, const char *type, const char *extra, enum framing, size_t size);

/* A whole reply; the connection is done with it. The body is copied. */
void reply_body(connection_t *, int status, const char *type, const char *extra, struct slice body);

/* A whole error reply. `field` NULL: no field is at fault; `extra` as above. */
void reply_error(connection_t *, int status, const char *field, const char *why, const char *extra);

/* The HTTP status of a verdict, and the error reply made from one. */
int status_of_verdict(int verdict);
void reply_verdict(connection_t *, const struct answer *);

/* A whole reply from an answer that is OK, in the shape of the connection's route. */
void reply_answer(connection_t *, const struct answer *);

#endif

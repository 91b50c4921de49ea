/* schema.h - a message described as data: one table drives every format.
 *
 * A message is a plain struct made from rows (see schemas.h). Every member `x` has a twin
 * `bool has_x`: absent is a presence bit, for every kind, so "" and 0 and false are values.
 * TEXT is inline, bounded, NUL-terminated for convenience and may hold NUL: `x_size` counts.
 * VIEW, JSON and BLOB are slices: a decoded one points into the frame and dies with it.
 * Text is UTF-8, but for lone surrogates, which are kept as their three bytes (WTF-8) and
 * written to JSON as the \udXXX they came as. */
#ifndef SCHEMA_H
#define SCHEMA_H

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MAX_TIME_US INT64_C(253402300799999999) /* the end of the year 9999 */
#define MAX_COUNT   INT64_C(9007199254740991)   /* 2^53 - 1, exact in JSON */
#define MAX_INT     INT64_C(9223372036854775807)
#define MAX_FRAME   (80 * 1024 * 1024)          /* the largest frame that is accepted anywhere */
#define MAX_STATE   (64 * 1024)                 /* HA says 255 characters; others have said more */

enum kind {
    TEXT_KIND, /* inline text */
    VIEW_KIND, /* text as a slice */
    JSON_KIND, /* one JSON value as it was written, as a slice */
    BLOB_KIND, /* bytes as a slice; base64 in JSON */
    INT_KIND,  /* int64_t */
    REAL_KIND, /* double, finite */
    FLAG_KIND  /* bool */
};

/* How a message travels as msgpack. Either form is accepted when decoding. */
enum form {
    BY_NAME,  /* a map; what is absent is left out */
    BY_PLACE  /* an array in row order, nil for absent; later rows may be missing */
};

enum {
    OPTIONAL = 0,
    REQUIRED = 1 << 0,
    TAG      = 1 << 1,  /* part of the key of a LATEST topic; a tag of line protocol */
    FIELD    = 1 << 2,
    TIME     = 1 << 3,  /* INT: microseconds since the epoch, UTC; RFC 3339 with six digits in JSON */
    SECRET   = 1 << 4,  /* never logged, never echoed */
    CLAMP    = 1 << 5,  /* INT from text: above the range becomes the highest value, no fault */
    INTERNAL = 1 << 6,  /* not written to JSON, not documented in OpenAPI */
    SPARSE   = 1 << 7,  /* JSON: the key is left out when absent (others are written as null) */
    SELECTOR = 1 << 8,  /* FLAG: chooses which of the next two are written to JSON; itself is not */
    IF_SELECTED     = 1 << 9,
    IF_NOT_SELECTED = 1 << 10,
    GAUGE    = 1 << 11  /* of stats: a number that may fall; the others only grow */
};

/* A view of bytes that someone else owns. */
struct slice { const void *data; size_t size; };

struct field {
    const char *name;
    enum kind   kind;
    int         flags;
    size_t      at;        /* offset of the member */
    size_t      has_at;    /* offset of its has_ twin */
    size_t      size_at;   /* TEXT: offset of its _size twin */
    size_t      max;       /* TEXT, VIEW, JSON, BLOB: most bytes allowed */
    int64_t     low, high; /* INT: allowed range, both included */
    double      least, most; /* REAL: allowed range, both included */
    const char *doc;
    const char *fallback;  /* as a user would type it; NULL if none */
    const char *env;       /* settings: the variable's name, where it is not SECTION_NAME */
    const char *unit;      /* FIELD of a reading: the unit of its series, as Home Assistant spells it */
    const char *state_class; /* ... and its class; NULL: measurement */
};

struct schema {
    const char         *name;
    const char         *doc;
    enum form           form;
    const struct field *fields;
    size_t              count;
    size_t              size; /* of the message struct */
};

/* Why a message was refused. Both are static text; `field` may be "". */
struct fault { const char *field, *why; };

/* --- msgpack ------------------------------------------------------------------------- */

/* Both return 0, or -1 with *fault filled in. Encode appends to `out` (nothing on -1) in the
 * schema's form; decode takes either form, fills fallbacks in, clears what is absent and
 * never allocates. Decoded slices point into `frame`. */
int schema_encode(const struct schema *, const void *msg, msgpack_sbuffer *out, struct fault *);
int schema_decode(const struct schema *, struct slice frame, void *msg, struct fault *);

/* Make a message empty: every field absent, no fallbacks. */
void schema_clear(const struct schema *, void *msg);

/* An empty message with its fallbacks. 0, or -1 naming a REQUIRED field without one. */
int schema_defaults(const struct schema *, void *msg, struct fault *);

/* Check what is set against the rows: ranges, lengths, REQUIRED. */
int schema_check(const struct schema *, const void *msg, struct fault *);

/* 0 if `frame` is exactly one well-formed msgpack object, at most `depth` deep, whose counts
 * fit in the bytes that follow them; else -1. Never allocates. */
int frame_check(struct slice frame, int depth);

/* Cut the first well-formed object off `rest`. True with *one set, else false: the end
 * (rest->size == 0) or a malformed rest. */
bool frame_next(struct slice *rest, struct slice *one);

/* --- text: settings, environment, query strings, fallbacks ---------------------------- */

const struct field *schema_field(const struct schema *, const char *name, size_t name_size); /* or NULL */

/* Set one field from text. TIME takes RFC 3339 with an offset or Z, or seconds since the
 * epoch. -1 if it cannot be read or is out of range. */
int schema_set_text(const struct field *, const char *text, size_t size, void *msg, struct fault *);

/* The field as a user would type it, NUL-terminated in `to`; "" if absent, "***" if SECRET.
 * Returns the length needed, like snprintf. */
size_t schema_get_text(const struct field *, const void *msg, char *to, size_t size);

/* --- JSON ------------------------------------------------------------------------------ */

/* Append the message as one JSON object. Keys are the row names, without a trailing "_us" for
 * TIME rows. SECRET is written as "***". */
void schema_json(const struct schema *, const void *msg, msgpack_sbuffer *out);

/* ... of these columns alone: bit i is row i, of the first 64; later ones are always there. */
void schema_json_columns(const struct schema *, const void *msg, uint64_t columns, msgpack_sbuffer *out);

/* Read a JSON object into a message: unknown keys are ignored, null is absent, TIME takes RFC
 * 3339, INTERNAL rows are not for outsiders and ignored. Slices are copied into `pool`, which
 * must outlive the message and loses what it held before. 0 or -1 with *fault. */
int schema_from_json(const struct schema *, struct slice text, void *msg, msgpack_sbuffer *pool, struct fault *);

/* Append `text` as a JSON string with its quotes; lone surrogates become \udXXX, bytes that
 * are not UTF-8 become U+FFFD. */
void json_write_text(struct slice text, msgpack_sbuffer *out);

/* UTF-8 without control characters other than tab and line breaks: something to read. */
bool text_is_plain(struct slice text);

/* RFC 3339, UTC, six digits, Z: always 27 characters and a NUL. */
enum { TIME_TEXT = 28 };
void time_text(int64_t at_us, char to[TIME_TEXT]);

/* Reads RFC 3339 with Z or any offset and up to nine digits of fraction (further than six:
 * cut). 0, or -1 if it is not one, or has no zone, or lies outside 0 .. MAX_TIME_US. */
int time_read(struct slice text, int64_t *at_us);

/* The shortest text that reads back as the same double; 32 bytes are enough, no NUL. Reading
 * takes the grammar of JSON and "+1", ".5" besides; false if it is no finite number, or longer
 * than 127 bytes. */
enum { NUMBER_TEXT = 32 };
size_t number_write(double, char to[NUMBER_TEXT]);
size_t number_shortest(double, char to[NUMBER_TEXT]); /* its slow half (json.cc), for what is no plain decimal */
bool number_read(struct slice text, double *number);

/* Split seconds as HA's history and recorder give them: whole seconds first, then the
 * fraction rounded to the nearest microsecond, half to even. -1 outside 0 .. MAX_TIME_US. */
int64_t time_from_seconds(double seconds);

/* --- setting members --------------------------------------------------------------------- */

/* SET(&m, temp_c, 11.5); for INT, REAL, FLAG and the slices. */
#define SET(message, member, ...) ((message)->member = (__VA_ARGS__), (void)((message)->has_##member = true))

/* SET_TEXT(&m, place, data, size): 0, or -1 if it does not fit (then it stays absent). */
#define SET_TEXT(message, member, text, length) \
    text_store((message)->member, sizeof (message)->member, &(message)->member##_size, &(message)->has_##member, (text), (length))
int text_store(char *to, size_t room, uint32_t *size, bool *has, const void *text, size_t length);

static inline struct slice slice_of(const char *text)
{
    size_t n = 0;
    while (text && text[n])
        n++;
    return (struct slice){ text, n };
}

#ifdef __cplusplus
}
#endif
#endif

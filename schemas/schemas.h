/* schemas.h - the message structs and their typed codecs, from the .msg tables. */
#ifndef SCHEMAS_H
#define SCHEMAS_H

#include "schema.h"

#define TOPIC(...)
#define SERVICE(...)
#define LISTING(...)

/* Pass 1: struct weather_reading { bool has_temp_c; double temp_c; ... }; */
#define MESSAGE(msg, form, doc)  struct msg {
#define TEXT(name, max, ...)     bool has_##name; uint32_t name##_size; char name[(max) + 1];
#define VIEW(name, max, ...)     bool has_##name; struct slice name;
#define JSON(name, max, ...)     bool has_##name; struct slice name;
#define BLOB(name, max, ...)     bool has_##name; struct slice name;
#define INT(name, ...)           bool has_##name; int64_t name;
#define REAL(name, ...)          bool has_##name; double name;
#define FLAG(name, ...)          bool has_##name; bool name;
#define END(msg)                 };
#include "all.msg"
#include "forget.h"

/* Pass 2: weather_reading_schema(), weather_reading_encode(), weather_reading_decode() */
#define MESSAGE(msg, form, doc)                                                               \
    const struct schema *msg##_schema(void);                                                  \
    static inline int msg##_encode(const struct msg *m, msgpack_sbuffer *to, struct fault *f) \
    { return schema_encode(msg##_schema(), m, to, f); }                                       \
    static inline int msg##_decode(struct slice from, struct msg *m, struct fault *f)         \
    { return schema_decode(msg##_schema(), from, m, f); }
#define TEXT(...)
#define VIEW(...)
#define JSON(...)
#define BLOB(...)
#define INT(...)
#define REAL(...)
#define FLAG(...)
#define END(msg)
#include "all.msg"
#include "forget.h"

#undef TOPIC
#undef SERVICE
#undef LISTING

extern const struct schema *(*const all_schemas[])(void); /* ends with NULL */

#endif

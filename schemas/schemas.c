/* schemas.c - the field tables, from the .msg tables. */
#include "schemas.h"

#define TOPIC(...)
#define SERVICE(...)
#define LISTING(...)

/* Pass 3: one function per message; self_t lets a row take its own offsets. Every row closes
 * with its documentation and then, optionally, its fallback, `.env = "NAME"`, `.unit = "W"`. */
#define MESSAGE(msg, form_, doc_)                                                             \
    const struct schema *msg##_schema(void)                                                   \
    {                                                                                         \
        typedef struct msg self_t;                                                            \
        static const char doc[] = doc_;                                                       \
        static const enum form form = form_;                                                  \
        static const struct field rows[] = {
#define AT(name_)                                                                             \
    .name = #name_, .at = offsetof(self_t, name_), .has_at = offsetof(self_t, has_##name_)
#define TEXT(name_, max_, flags_, ...)                                                        \
    { AT(name_), .kind = TEXT_KIND, .size_at = offsetof(self_t, name_##_size), .max = (max_), .flags = (flags_), .doc = __VA_ARGS__ },
#define VIEW(name_, max_, flags_, ...) { AT(name_), .kind = VIEW_KIND, .max = (max_), .flags = (flags_), .doc = __VA_ARGS__ },
#define JSON(name_, max_, flags_, ...) { AT(name_), .kind = JSON_KIND, .max = (max_), .flags = (flags_), .doc = __VA_ARGS__ },
#define BLOB(name_, max_, flags_, ...) { AT(name_), .kind = BLOB_KIND, .max = (max_), .flags = (flags_), .doc = __VA_ARGS__ },
#define INT(name_, low_, high_, flags_, ...)                                                  \
    { AT(name_), .kind = INT_KIND, .low = (low_), .high = (high_), .flags = (flags_), .doc = __VA_ARGS__ },
#define REAL(name_, low_, high_, flags_, ...)                                                 \
    { AT(name_), .kind = REAL_KIND, .least = (low_), .most = (high_), .flags = (flags_), .doc = __VA_ARGS__ },
#define FLAG(name_, flags_, ...) { AT(name_), .kind = FLAG_KIND, .flags = (flags_), .doc = __VA_ARGS__ },
#define END(msg)                                                                              \
        };                                                                                    \
        static const struct schema schema = { #msg, doc, form, rows,                          \
            sizeof rows / sizeof *rows, sizeof(self_t) };                                     \
        return &schema;                                                                       \
    }
#include "all.msg"
#include "forget.h"
#undef AT

/* Pass 4: the list of them all, for documentation, OpenAPI, tests and fuzzing. */
#define MESSAGE(msg, form, doc) msg##_schema,
#define TEXT(...)
#define VIEW(...)
#define JSON(...)
#define BLOB(...)
#define INT(...)
#define REAL(...)
#define FLAG(...)
#define END(msg)
const struct schema *(*const all_schemas[])(void) = {
#include "all.msg"
    NULL
};

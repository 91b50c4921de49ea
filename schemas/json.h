/* json.h - read someone else's JSON. Behind it stands simdjson's first stage, and a walk by the
 * grammar: numbers and lone surrogates pass through unchanged as raw slices, and what passes
 * is JSON to the letter, so that a slice may be written again as it is. json.cc is the only
 * file that knows simdjson.
 *
 * A json_t owns its parser and buffers and is used again and again; what it hands out points
 * into the text given to json_read (raw slices) or into the json_t (unescaped text), and dies
 * at the next json_read. */
#ifndef JSON_H
#define JSON_H

#include "schema.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct json json_t;

json_t *json_new(void);
void json_destroy(json_t **self_p);

enum json_kind { JSON_NOTHING, JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_TEXT, JSON_ARRAY, JSON_OBJECT };

/* One value: its kind and its bytes as they were written (text with its quotes and escapes). */
struct json_value { enum json_kind kind; struct slice raw; };

/* Check that `text` is one JSON value (UTF-8, brackets, quotes) and tell what it is. 0, or -1
 * with *why a static text. Depth is bounded at 256. */
int json_read(json_t *, struct slice text, struct json_value *root, const char **why);

/* The same for the outer levels only: of what is nested deeper nothing is checked but UTF-8,
 * quotes and brackets, and its members and items cannot be looked at. For who passes it on. */
int json_read_levels(json_t *, struct slice text, size_t levels, struct json_value *root, const char **why);

/* The members of an object (in any order; the last of a repeated key counts, as in HA's own
 * parser) picked by name in one pass: values[i] belongs to keys[i], JSON_NOTHING if absent.
 * 0, or -1 if `object` is none, or no slice of the text read last, or not read. At most 32 keys. */
int json_pick(json_t *, struct slice object, const char *const keys[], size_t count, struct json_value values[]);

/* Walk the items of an array, or the members of an object with their unescaped keys. The
 * callback returns 0 to go on. Returns 0, the callback's other value, or -1 if it is broken. */
typedef int json_item_fn(void *owner, struct json_value item);
typedef int json_member_fn(void *owner, struct slice key, struct json_value value);
int json_each_item(json_t *, struct slice array, json_item_fn *, void *owner);
int json_each_member(json_t *, struct slice object, json_member_fn *, void *owner);

/* The text of a JSON_TEXT, unescaped (a lone surrogate as its three bytes). Without escapes it
 * is a slice of the original. False for any other kind. */
bool json_text(json_t *, struct json_value, struct slice *text);
bool json_real(struct json_value, double *number);    /* false if it is no finite number */
bool json_int(struct json_value, int64_t *number);    /* false if it is no integer in range */

/* The value at a path such as "weather.0.main" below `root`; JSON_NOTHING if there is none. */
struct json_value json_at(json_t *, struct slice root, const char *path);

#ifdef __cplusplus
}
#endif
#endif

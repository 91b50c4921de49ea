/* mapping.h - which member of the reading comes in which MQTT topic: rows with `;` between them,
 *
 *   member=topic[#path][*factor]
 *
 * `member` is one of the reading's, `as_of`, or `circuit:Name`; `%` in a topic stands for the prefix, `+` for any level;
 * `path` leads into JSON, without one the payload is the value. Rows of one member are added up: its value is
 * known when all of them are. */
#ifndef MAPPING_H
#define MAPPING_H

#include "pick.h"
#include "schemas.h"

enum { MAPPINGS = 64, TOPIC_BYTES = 256, PATH_BYTES = 120 };

struct mapping {
    char member[64];        /* "circuit:..." too */
    char topic[TOPIC_BYTES], path[PATH_BYTES];
    double factor;
    bool is_known;
    double value;
    int64_t at_us;          /* when that came */
};

struct mappings { struct mapping rows[MAPPINGS]; size_t count; };

/* The text, or the name of a device that is known: glow, shelly-em, shelly-3em, shelly-pro-3em. 0, or -1 with what is wrong in `why`. */
int mappings_read(const char *text, const char *prefix, struct mappings *, char *why, size_t size);

/* A message: every row of its topic takes its value, or forgets the one it had where there is none. Returns how
 * many rows it was for; *odd counts those whose value could not be read. */
size_t mappings_take(struct mappings *, json_t *, const char *topic, struct slice payload, int64_t now_us, size_t *odd);

/* The value of a member as of now, of rows not older than `holds_us`. */
bool mappings_value(const struct mappings *, const char *member, int64_t since_us, double *value);

bool topic_matches(const char *pattern, const char *topic);

#endif

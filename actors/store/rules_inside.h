/* rules_inside.h - a rule as the parser makes it and the others read it. */
#ifndef RULES_INSIDE_H
#define RULES_INSIDE_H

#include "json.h"
#include "rules.h"

enum rule_action { INCLUDE, EXCLUDE, THIN, ACTIONS };
/* The most specific first. */
enum rule_level { BY_ENTITY, BY_GLOB, BY_DEVICE, BY_LABEL, BY_AREA, BY_INTEGRATION, BY_DOMAIN, BY_TYPE, LEVELS };

extern const char *const rule_actions[ACTIONS];
extern const char *const rule_levels[LEVELS]; /* the names of the selectors */

struct rule {
    enum rule_action action;
    enum rule_level level;
    struct thinning thinning;
    size_t first, count;    /* its texts */
    bool is_list;           /* written as an array */
    bool has_interval, has_deadband, has_note;
    struct slice note;
};

struct rules {
    struct rule *list;
    size_t count;
    struct slice *texts;    /* of all rules */
    size_t texts_count;
    msgpack_sbuffer pool;   /* their bytes */
    bool includes_entities, includes_wider, includes_types, excludes_wider;
    json_t *json;           /* for labels */
};

#endif

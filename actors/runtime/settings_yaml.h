/* settings_yaml.h - one YAML text as a walk over its scalars. Knows libyaml, no settings. */
#ifndef SETTINGS_YAML_H
#define SETTINGS_YAML_H

#include "schema.h"

struct setting {
    struct slice section;  /* NUL-terminated; empty: outside of all sections */
    struct slice key;      /* NUL-terminated */
    struct slice value;    /* empty where it is null, or no scalar */
    bool is_scalar;        /* false: a list, a deeper mapping or an alias */
    size_t line;
};

/* Returns 0, or anything else to stop. */
typedef int setting_fn(void *owner, const struct setting *);

/* 0; what the callback returned; or -1 with `why` set: no YAML, or no mapping. */
int yaml_walk(struct slice text, setting_fn *, void *owner, char *why, size_t size);

#endif

/* file.h - monitor.db: alerts, rules that were set, who is expected, a few numbers.
 *
 * Nothing of it is needed to watch: what cannot be written is kept in memory and written when
 * it can be. A damaged file is moved aside and begun anew. Functions return 0, or -1:
 * file_why() says why. */
#ifndef FILE_H
#define FILE_H

#include "rules.h"

typedef struct file file_t;

/* NULL: *why; a damaged one is kept beside it and begun anew, then *why says what was wrong with it. */
file_t *file_open(const char *path, char *why, size_t size);
void file_close(file_t **);
const char *file_why(const file_t *);

int file_save_alert(file_t *, const struct alert *);
int file_drop_alert(file_t *, int64_t id);
typedef void file_alert_fn(void *owner, const struct alert *);
int file_load_alerts(file_t *, file_alert_fn *, void *owner);   /* oldest first */

int file_save_rule(file_t *, const struct rule *);
int file_load_rules(file_t *, struct rule rules[RULES]);

int file_save_name(file_t *, const char *name);                 /* a process: "enrich/2" */
int file_drop_name(file_t *, const char *name);
typedef void file_name_fn(void *owner, const char *name);
int file_load_names(file_t *, file_name_fn *, void *owner);

int file_save_number(file_t *, const char *name, int64_t value);
bool file_load_number(file_t *, const char *name, int64_t *value); /* false: it was never saved */

#endif

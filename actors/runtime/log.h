/* log.h - one line per event on standard error: time, level, who, what.
 *
 * Repeats of one format string are rate-limited: a warning or an error is shown once and then
 * at most once a minute, with the count of those left out (of one subject, where the caller
 * names one: log_write_of); information twenty times a minute
 * (so that a list of peers stays whole), debug always. Secrets that were registered are
 * written as ***, control characters are escaped, so that a line stays a line. A pipe that is
 * full is not waited for: the next line that goes says how many did not. */
#ifndef LOG_H
#define LOG_H

#include "schemas.h"

#include <stdarg.h>

typedef struct log log_t;

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

struct log_options {
    const char *actor, *instance;  /* instance NULL or "1": not shown */
    enum log_level level;          /* and above */
    bool json;
    int fd;
    int64_t (*now_us)(void);       /* NULL: the wall clock */
};

log_t *log_new(const struct log_options *);   /* strings are copied */
void log_destroy(log_t **self_p);             /* says what was left out at last */

/* Every SECRET row of the message that is set, and is four bytes long at least. */
void log_secrets(log_t *, const struct schema *, const void *message);
void log_set_level(log_t *, enum log_level);
enum log_level log_level_of(const char *word);  /* "debug", "info", "warn", "error" */

/* `format` is static text: it is what repeats are known by. */
void log_write(log_t *, enum log_level, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* `of`: what it speaks of, a hash of any kind; 0: nothing of its own. */
void log_write_list(log_t *, enum log_level, uint64_t of, const char *format, va_list) __attribute__((format(printf, 4, 0)));
void log_write_of(log_t *, enum log_level, uint64_t of, const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif

/* moment.h - chance, times and context ids as Home Assistant writes them. */
#ifndef HOME_MOMENT_H
#define HOME_MOMENT_H

#include "text.h"

#define ULID_SIZE 26
#define ISO_ROOM 40
#define SECOND_US INT64_C(1000000)
#define HOUR_US (3600 * SECOND_US)
#define DAY_US (24 * HOUR_US)

/* A seeded source of numbers. */
struct chance {
    uint64_t state;
};

uint64_t chance_next(struct chance *);
double chance_part(struct chance *);                  /* 0 <= x < 1 */
int64_t chance_below(struct chance *, int64_t limit); /* 0 <= x < limit */
bool chance_one_in(struct chance *, int64_t odds);
void chance_hex(struct chance *, char *out, size_t size); /* size characters and NUL */

/* What was formatted last: most of it is the same the next time. */
struct calendar {
    int64_t second, millisecond;
    char date[20];
    char ulid[10];
};

/* 2026-11-24T01:54:29.254920+00:00; without a fraction when it is zero, as Python does.
 * Returns its length; out has ISO_ROOM. */
size_t moment_iso(struct calendar *, char *out, int64_t us);
void moment_ulid(struct calendar *, struct chance *, char out[ULID_SIZE + 1], int64_t us);

/* Seconds as a float, as HA's history does: its clock is a float, so the text often has more
 * digits than microseconds; rounded to microseconds it is `us` again. */
double moment_seconds(int64_t us);
void moment_float(struct text *, int64_t us);
int64_t moment_parse(struct slice iso); /* microseconds, or -1 */
int64_t moment_now_us(void);

#endif

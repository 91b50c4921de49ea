/* plan.h - a question about series, read and checked: entities, statistics, step, and how far it has been answered. */
#ifndef PLAN_H
#define PLAN_H

#include "actor.h"
#include "rollup.h"
#include "stat.h"

enum { IDS_MAX = 200, ID_BYTES = 1024, STEP_NAME = 8, ROWS_MAX = 50000 /* of one entity, where nobody said how many */ };

struct plan {
    struct slice ids[IDS_MAX];
    size_t ids_count;
    enum stat stats[STATS];
    size_t stats_count;
    bool has_stat, has_unit, by_role;
    struct slice unit;
    int64_t from, to, now, points; /* points: 0 where a step was asked for */
    char step_name[STEP_NAME + 1]; /* "": not chosen yet */
    bool is_raw;
    struct step step;
    zone_t *zone;                  /* the plan's */
    size_t entity;                 /* go on with this one ... */
    int64_t position, taken;       /* ... from here, after so many rows; 0: from its beginning */
};

/* OK, or the verdict and *fault. It points into the question. */
int plan_read(struct plan *, const struct series_ask *, const char *home_zone, int64_t now_us, struct fault *);
void plan_close(struct plan *);

/* Take a step by its name: 0; -1: there is none. */
int plan_set_step(struct plan *, const char *name, size_t size);
/* The shortest step of which there are at most `points`: 0; -1: even months are more. */
int plan_choose_step(struct plan *);

/* What the next page needs. */
void plan_cursor(const struct plan *, struct series_end *);

#endif

/* coverage.c - the gaps of the ledger as spans that join. */
#include "coverage.h"

#include "view.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* From good to bad: of several gaps over a moment the worst one counts. */
enum label { LIVE_DATA, BACKFILLED, PARTLY, FILLING, OPEN_GAP, LOST };
static const char *const label_names[COVERAGE_LABELS] = { [LIVE_DATA] = "live", [BACKFILLED] = "backfilled",
    [PARTLY] = "partly_recovered", [FILLING] = "filling", [OPEN_GAP] = "open", [LOST] = "unrecoverable" };

static enum label label_of(const struct gap_entry *gap, const struct backfill_view *fill)
{
    const char *state = view_gap_state(gap, fill);
    return strcmp(state, "filled") == 0 ? BACKFILLED : strcmp(state, "partly_filled") == 0 ? PARTLY
        : strcmp(state, "filling") == 0 ? FILLING : strcmp(state, "open") == 0 ? OPEN_GAP : LOST;
}

static int by_time(const void *a, const void *b)
{
    const struct edge *one = a, *other = b;
    return (one->at_us > other->at_us) - (one->at_us < other->at_us);
}

/* A request for some entities only says nothing of the others. */
static void add(struct coverage *self, const struct gap_entry *gap, const struct backfill_view *fill, int64_t now_us)
{
    bool is_request = gap->cause == GAP_REQUESTED;
    int label = (int)label_of(gap, fill) + (is_request ? COVERAGE_LABELS : 0);
    int64_t end_us = gap->end_us ? gap->end_us : now_us;
    if (end_us <= gap->start_us || gap->entity_id)
        return;
    self->edges[self->count++] = (struct edge){ gap->start_us, label, gap->is_compared, 1 };
    self->edges[self->count++] = (struct edge){ end_us, label, gap->is_compared, -1 };
}

struct coverage coverage_of(const ledger_t *ledger, const backfill_t *backfill, int64_t now_us, int64_t clock_us)
{
    size_t count = ledger_count(ledger);
    struct coverage self = { .at_us = now_us, .end_us = now_us, .edges = calloc(2 * count + 1, sizeof *self.edges) };
    assert(self.edges);
    for (size_t i = 0; i < count; i++) {
        const struct gap_entry *gap = ledger_gap(ledger, i);
        struct backfill_view fill;
        backfill_view(backfill, gap, clock_us, &fill);
        add(&self, gap, &fill, now_us);
        if (gap->cause != GAP_REQUESTED && gap->start_us < self.at_us)
            self.at_us = gap->start_us; /* the first start, or what is left of the time since */
    }
    qsort(self.edges, self.count, sizeof *self.edges, by_time);
    return self;
}

void coverage_free(struct coverage *self)
{
    free(self->edges);
    self->edges = NULL;
    self->count = 0;
}

static void pass(struct coverage *self, const struct edge *edge)
{
    if (edge->label >= COVERAGE_LABELS) {
        self->asked[edge->label - COVERAGE_LABELS] += edge->step;
        return;
    }
    self->open[edge->label] += edge->step;
    self->uncompared += edge->is_compared ? 0 : edge->step;
}

static enum label worst(const int open[COVERAGE_LABELS])
{
    int label = COVERAGE_LABELS - 1;
    while (label > LIVE_DATA && open[label] == 0)
        label--;
    return (enum label)label;
}

#define SET_LABEL(span, member, label) \
    SET_TEXT((span), member, label_names[label], strlen(label_names[label]))

static void describe(const struct coverage *self, int64_t start_us, int64_t end_us, struct coverage_span *span)
{
    enum label states = worst(self->open), others = states;
    if (states > BACKFILLED && self->asked[BACKFILLED] > 0)
        states = BACKFILLED; /* somebody had it filled since */
    if (others == BACKFILLED || others == PARTLY)
        others = LOST;
    *span = (struct coverage_span){ 0 };
    SET(span, start, start_us);
    SET(span, end, end_us);
    SET_LABEL(span, states, states);
    SET_LABEL(span, contexts, others);
    SET_LABEL(span, events, others);
    SET_LABEL(span, removals, (states == BACKFILLED || states == PARTLY) && self->uncompared > 0 ? LOST : states);
}

bool coverage_next(struct coverage *self, const struct coverage_query *query, struct coverage_span *span)
{
    int64_t first_us = query->has_start_time && query->start_time > 0 ? query->start_time : 0;
    int64_t last_us = query->has_end_time && query->end_time < self->end_us ? query->end_time : self->end_us;
    while (self->at_us < last_us) {
        while (self->next < self->count && self->edges[self->next].at_us <= self->at_us)
            pass(self, &self->edges[self->next++]);
        int64_t to_us = self->next < self->count && self->edges[self->next].at_us < last_us ? self->edges[self->next].at_us : last_us;
        int64_t from_us = self->at_us > first_us ? self->at_us : first_us;
        self->at_us = to_us;
        if (from_us >= to_us)
            continue;
        describe(self, from_us, to_us, span);
        return true;
    }
    return false;
}

/* spans.c - the samples of an entity, one after the other, across the series that make it up. */
#include "spans.h"

#include <assert.h>
#include <stdlib.h>

struct history {
    store_t *store;
    const struct lineage_span *spans;
    size_t count, at;      /* the next span to be opened */
    int64_t from, to;
    bool wants_prior;
    samples_t *samples;    /* of the span at hand, or of the one before */
};

history_t *history_open(store_t *store, const struct lineage_span *spans, size_t count, int64_t from_us, int64_t to_us, bool with_prior)
{
    history_t *self = malloc(sizeof *self);
    assert(self);
    *self = (history_t){ .store = store, .spans = spans, .count = count, .from = from_us, .to = to_us, .wants_prior = with_prior };
    return self;
}

void history_close(history_t **self_p)
{
    history_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    samples_close(&self->samples);
    free(self);
}

/* The newest of one span before a moment. */
static enum store_result newest_of(history_t *self, const struct lineage_span *span, int64_t before_us, struct sample *to)
{
    if (before_us <= span->from_us)
        return STORE_MISSING;
    self->samples = samples_open(self->store, span->series, before_us, before_us, true);
    enum store_result result = self->samples ? samples_next(self->samples, to) : STORE_TROUBLE;
    if (result == STORE_OK && to->at >= span->from_us)
        return STORE_OK; /* it stays open: the sample points into it */
    samples_close(&self->samples);
    return result == STORE_OK ? STORE_MISSING : result;
}

static enum store_result find_prior(history_t *self, struct sample *to)
{
    enum store_result result = STORE_MISSING;
    for (size_t i = self->count; i-- > 0 && result == STORE_MISSING;) {
        const struct lineage_span *span = &self->spans[i];
        result = newest_of(self, span, self->from < span->to_us ? self->from : span->to_us, to);
    }
    return result;
}

/* STORE_MISSING: there is none left. */
static enum store_result open_span(history_t *self)
{
    samples_close(&self->samples);
    while (self->at < self->count) {
        const struct lineage_span *span = &self->spans[self->at++];
        int64_t from = self->from > span->from_us ? self->from : span->from_us, to = self->to < span->to_us ? self->to : span->to_us;
        if (from >= to)
            continue;
        self->samples = samples_open(self->store, span->series, from, to, false);
        return self->samples ? STORE_OK : STORE_TROUBLE;
    }
    return STORE_MISSING;
}

enum store_result history_next(history_t *self, struct sample *to)
{
    enum store_result result = STORE_MISSING;
    if (self->wants_prior) {
        self->wants_prior = false;
        result = find_prior(self, to);
        if (result != STORE_MISSING)
            return result;
    }
    if (self->at > 0 && self->samples)
        result = samples_next(self->samples, to);
    while (result == STORE_MISSING && (result = open_span(self)) == STORE_OK)
        if ((result = samples_next(self->samples, to)) == STORE_OK)
            return result;
    return result;
}

/* sums.c - the sum of conservation. */
#include "sums.h"

int64_t settled_sum(const struct settled_row *row)
{
    return row->stored + row->duplicate + row->filtered + row->thinned + row->quarantined;
}

/* A total that falls is another file's: another store, another capture log, or one after a power cut. */
static bool is_anew(const struct sums *self, const struct ingest_totals *received, const struct settled_row *after)
{
    return !self->is_known || received->received < self->received.received || settled_sum(after) < settled_sum(&self->after);
}

int64_t sums_close(struct sums *self, const struct ingest_totals *received, const struct settled_row *after, int64_t now_us)
{
    int64_t beyond = settled_sum(&self->before) + received->given_up - received->received;
    if (is_anew(self, received, after) || beyond > self->excess)
        self->excess = beyond;
    self->is_known = true;
    self->received = *received;
    self->after = *after;
    self->at_us = now_us;
    int64_t missing = received->received + self->excess - received->in_flight - received->given_up - settled_sum(after);
    self->missing = missing > 0 ? missing : 0;
    return self->missing;
}

struct ingest_totals sums_meanwhile(const struct sums *self)
{
    struct ingest_totals totals = self->received;
    int64_t excess = self->excess > 0 ? self->excess : 0; /* below 0 while what was in flight when it was measured is not settled */
    int64_t settled = settled_sum(&self->after) + totals.given_up - excess, left = totals.received - settled;
    if (left < totals.in_flight)
        totals.in_flight = left > 0 ? left : 0;
    if (left < 0)
        totals.received = settled;
    return totals;
}

void sums_accept(struct sums *self)
{
    self->excess -= self->missing;
    self->missing = 0;
}

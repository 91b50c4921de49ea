/* sums.h - received = stored + duplicate + filtered + thinned + quarantined + in flight + given up.
 *
 * Two processes know the terms, and they cannot be asked at one moment. So sink is asked, then
 * ingest, then sink again. What sink had settled before ingest was asked can be no more than
 * ingest had received: what is beyond that is `excess`, counted on one side alone (a power cut took
 * the newest of the capture log after the store had them), and it never shrinks. What ingest says
 * is acknowledged has been settled before, so sink's second answer must have all of it, and the
 * excess: what it lacks is missing. What is settled between the two answers hides as many missing
 * ones until it is asked again at a quieter moment; nothing is ever called missing that is not. */
#ifndef SUMS_H
#define SUMS_H

#include "schemas.h"

struct sums {
    struct settled_row before, after;       /* of sink; `after` as of the last whole sum */
    struct ingest_totals received;
    struct ingest_totals asked;              /* of ingest, in the sum that is under way */
    int64_t excess, missing;
    int64_t at_us;                          /* wall clock; 0: never */
    bool is_known;                          /* excess has been measured */
};

int64_t settled_sum(const struct settled_row *);

/* All three answers are in: 0, or what is missing. */
int64_t sums_close(struct sums *, const struct ingest_totals *, const struct settled_row *after, int64_t now_us);
/* Received and in flight as of sink's second answer, as far as it tells: what it has settled by then is in
 * flight no more, and had been received. So the terms that are shown add up. */
struct ingest_totals sums_meanwhile(const struct sums *);
/* What is missing is no longer looked for. */
void sums_accept(struct sums *);

#endif

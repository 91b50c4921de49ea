/* thin.c - of a stretch of numbers the first, the least, the greatest and the last are enough. */
#include "thin.h"

#include "event_id.h"

#include <math.h>
#include <string.h>

bool thin_number(const struct event_full *e, double *number, uint64_t *unit)
{
    if (!e->is_state || !e->has_state || strcmp(e->provenance, "live") != 0 || !e->has_value || !number_read(e->value, number))
        return false; /* true and false are values, too, but no numbers */
    *unit = e->has_unit ? hash_bytes(HASH_SEED, e->unit) : 0;
    return true;
}

static bool goes_on(const struct stretch *s, const struct thinning *t, const struct kept *value, uint64_t unit)
{
    if (!s->is_open || s->unit != unit)
        return false;
    if (t->interval_us > 0 && value->row.at / t->interval_us == s->first.row.at / t->interval_us)
        return true;
    return t->deadband > 0.0 && fabs(value->value - s->first.value) < t->deadband;
}

static bool has_row(const struct stretch *s, const struct store_row *row)
{
    return s->first.row.at == row->at || s->least.row.at == row->at || s->greatest.row.at == row->at || s->last.row.at == row->at;
}

size_t stretch_add(struct stretch *s, const struct thinning *t, struct kept value, uint64_t unit, struct store_row gone[2])
{
    size_t count = 0;
    if (!goes_on(s, t, &value, unit)) {
        *s = (struct stretch){ true, unit, value, value, value, value };
        return 0;
    }
    struct store_row before[2] = { s->last.row, s->last.row };
    s->last = value;
    if (value.value < s->least.value) {
        before[1] = s->least.row;
        s->least = value;
    } else if (value.value > s->greatest.value) {
        before[1] = s->greatest.row;
        s->greatest = value;
    }
    for (int i = 0; i < 2; i++)
        if (!has_row(s, &before[i]) && (i == 0 || before[1].at != before[0].at))
            gone[count++] = before[i];
    return count;
}

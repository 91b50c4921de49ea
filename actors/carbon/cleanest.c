/* cleanest.c - the cleanest time for something that runs for a while in one go. */
#include "cleanest.h"

bool mean_over(const struct carbon_slot *slots, size_t count, int64_t from_us, int64_t to_us, double *mean)
{
    double sum = 0;
    int64_t at_us = from_us;
    for (size_t i = 0; i < count && at_us < to_us; i++) {
        if (slots[i].to <= at_us)
            continue;
        if (slots[i].from > at_us)
            return false;
        int64_t end_us = slots[i].to < to_us ? slots[i].to : to_us;
        sum += slots[i].intensity_g_kwh * (double)(end_us - at_us);
        at_us = end_us;
    }
    *mean = sum / (double)(to_us - from_us);
    return at_us >= to_us;
}

/* Intensities are constant in a slot, so one of the best windows begins or ends where a slot does. */
bool cleanest_window(const struct carbon_slot *slots, size_t count, int64_t for_us, int64_t not_before_us, int64_t done_by_us, int64_t *from_us, double *mean)
{
    bool is_found = false;
    double one;
    for (size_t i = 0; i <= 2 * count; i++) {
        int64_t start_us = i == 2 * count ? not_before_us : i < count ? slots[i].from : slots[i - count].to - for_us;
        if (start_us < not_before_us || start_us + for_us > done_by_us || !mean_over(slots, count, start_us, start_us + for_us, &one))
            continue;
        if (is_found && (one > *mean || (one == *mean && start_us >= *from_us)))
            continue;
        is_found = true;
        *mean = one;
        *from_us = start_us;
    }
    return is_found;
}

/* fuzz_ics.c - iCalendar files: whatever they hold, what is told lies in the span, and it takes no time. */
#include "ics.h"

#include <stdlib.h>

static const int64_t from_us = INT64_C(1767225600000000), to_us = INT64_C(1767916800000000);

static void take(void *owner, const struct ics_event *event)
{
    (void)owner;
    if (event->from_us < 0 || event->to_us < event->from_us || event->from_us >= to_us || (event->to_us <= from_us && event->from_us < from_us))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static zone_t *zone;
    const char *why;
    size_t odd;
    if (!zone)
        zone = zone_open("Europe/Berlin", &why);
    ics_read((struct slice){ data, size }, zone, from_us, to_us, take, NULL, &odd, &why);
    return 0;
}

/* fuzz_zone.c - anything as the file of a zone.
 *
 * What must hold: what was taken has days and months that follow each other, whatever it says. */
#include "zone.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t times[] = { 0, INT64_C(1700000000), INT64_C(-2200000000), INT64_C(4102444800), INT64_C(951782400) };
    zone_t *zone = zone_read("fuzz", (struct slice){ data, size });
    if (!zone)
        return 0;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        int64_t at = times[i] * 1000000, day = zone_day_start(zone, at), month = zone_month_start(zone, at);
        assert(day <= at && at < zone_day_next(zone, at) && zone_day_start(zone, day) == day);
        assert(month <= at && at < zone_month_next(zone, at) && zone_month_start(zone, month) == month);
        assert(zone_offset_s(zone, at) <= 26 * 3600 && zone_offset_s(zone, at) >= -26 * 3600);
    }
    zone_destroy(&zone);
    return 0;
}

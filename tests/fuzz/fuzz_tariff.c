/* fuzz_tariff.c - whatever is written as a tariff has a price at any time, or is none. */
#include "electricity.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tariff tariff;
    const char *why;
    char *text = strndup((const char *)data, size);
    assert(text);
    if (tariff_read(text, &tariff, &why) == 0)
        for (int minute = 0; minute < 7 * 1440; minute++) {
            double price = tariff_price(&tariff, minute / 1440, minute % 1440);
            assert(price >= -1000 && price <= 1000);
        }
    free(text);
    return 0;
}

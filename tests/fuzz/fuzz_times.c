/* fuzz_times.c - anything as a run of keys: it is refused, or its keys are in order from its first on. */
#include "times.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run run;
    int64_t first = 0;
    if (size < sizeof first)
        return 0;
    memcpy(&first, data, sizeof first);
    if (run_read((struct slice){ data + sizeof first, size - sizeof first }, first, &run) != 0)
        return 0;
    assert(run.count > 0 && run.count <= RUN_KEYS && run.keys[0].time == first);
    for (size_t i = 1; i < run.count; i++)
        assert(key_order(&run.keys[i - 1], &run.keys[i]) < 0);
    return 0;
}

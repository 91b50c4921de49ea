/* fuzz_source.h - every step of every provider of one source reads whatever comes. The first byte of
 * the input chooses the step. Define SETTINGS before. */
#ifndef FUZZ_SOURCE_H
#define FUZZ_SOURCE_H

#include "probe.h"
#include "source_inside.h"

#include <stdlib.h>

static source_t *source;

static size_t choose(size_t number)
{
    size_t count = 0;
    for (const struct provider *p = source_spec.providers; p->name; p++)
        for (size_t i = 0; p->steps && p->steps[i].read; i++, count++)
            if (count == number) {
                source->provider = p;
                source->step = i;
            }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const settings[] = { SETTINGS, NULL };
    struct fault fault;
    if (!source)
        source = source_of(probe_self(probe_new(settings)));
    if (size == 0)
        return 0;
    choose(data[0] % choose((size_t)-1));
    schema_clear(source->schema, source->draft);
    source_drop_slots(source);
    if (source_read(source, &source->provider->steps[source->step], (struct slice){ data + 1, size - 1 }, &fault) == 0
            && source_check(source, &fault) == 0 && schema_check(source->schema, source->draft, &fault))
        abort();
    return 0;
}

#endif

/* fuzz_rollup.c - anything as a packed chunk of buckets, and as what is packed.
 *
 * What must hold: bytes are read to their end or refused; buckets that are taken come back. */
#include "rollup_chunk.h"

#include "chunk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct slice bytes)
{
    rollup_reader_t *reader = rollup_reader_new(bytes);
    if (!reader)
        return;
    const struct rollup_head *head = rollup_reader_head(reader);
    int64_t from = head->from;
    const struct bucket *b;
    while ((b = rollup_reader_next(reader, from, from + QUARTER_US))) {
        assert(b->value_us + b->unavailable_us + b->gap_us == QUARTER_US);
        for (size_t i = 0; i < b->states; i++)
            assert(b->durations[i].us >= 0 && (b->durations[i].state.size == 0 || *(const char *)b->durations[i].state.data != 1 || b->count >= 0));
        for (int64_t i = 0; i < b->resets; i++)
            assert(b->reset_at[i] >= 0 || b->reset_at[i] < 0);
        from += QUARTER_US;
    }
    rollup_reader_destroy(&reader);
}

struct seen { rollup_writer_t *writer; int64_t counts[64]; double lasts[64]; size_t count; };

static int take(void *owner, const struct bucket *b)
{
    struct seen *seen = owner;
    if (b->is_open || seen->count == 64)
        return 0;
    rollup_writer_add(seen->writer, b);
    seen->counts[seen->count] = b->count;
    seen->lasts[seen->count++] = b->has_last ? b->last : -1;
    return 0;
}

/* Three bytes a sample: when, what, how much. */
static void pack(const uint8_t *data, size_t size)
{
    enum series_class class = (enum series_class)(1 + data[0] % 5);
    struct seen seen = { .writer = rollup_writer_new(class) };
    bucketer_t *bucketer = bucketer_new(&(struct bucketer_options){ .class = class, .step = { .us = QUARTER_US }, .end = 64 * QUARTER_US, .give = take, .owner = &seen });
    int64_t at = 0;
    for (size_t i = 1; i + 3 <= size; i += 3) {
        static const char *const texts[] = { "on", "off", "", "heat" };
        at += data[i] * SECOND_US * 7;
        struct sample s = { .at = at, .kind = (enum sample_kind)(data[i + 1] % 4), .number = data[i + 2] / (data[i + 1] & 16 ? 3.0 : 10.0), .state = slice_of(texts[data[i + 2] % 4]) };
        bucketer_sample(bucketer, &s, data[i + 1] >> 5);
    }
    bucketer_end(bucketer);
    struct rollup_head head = { .tier = TIER_QUARTER, .class = class, .until = 64 * QUARTER_US, .after = *bucketer_counter(bucketer) };
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    struct chunk_tools tools = { 0 };
    bool fits = rollup_writer_end(seen.writer, &tools, &head, true, &out);
    assert(fits);
    chunk_tools_close(&tools);
    rollup_reader_t *reader = rollup_reader_new((struct slice){ out.data, out.size });
    assert(reader && rollup_reader_head(reader)->buckets == seen.count);
    for (size_t i = 0; i < seen.count; i++) {
        const struct bucket *b = rollup_reader_next(reader, (int64_t)i * QUARTER_US, (int64_t)(i + 1) * QUARTER_US);
        assert(b && b->count == seen.counts[i] && (b->has_last ? b->last : -1) == seen.lasts[i]);
    }
    rollup_reader_destroy(&reader);
    rollup_writer_destroy(&seen.writer);
    bucketer_destroy(&bucketer);
    msgpack_sbuffer_destroy(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    if (data[0] % 4 == 0) {
        read_all((struct slice){ data + 1, size - 1 });
    } else if (data[0] % 4 < 3) {
        pack(data + 1, size - 1);
    } else { /* what a checksum would not have let pass */
        size_t room = ZSTD_compressBound(size);
        char *bytes = malloc(room + 1);
        assert(bytes);
        bytes[0] = 1;
        read_all((struct slice){ bytes, 1 + ZSTD_compress(bytes + 1, room, data + 1, size - 1, 1) });
        free(bytes);
    }
    return 0;
}

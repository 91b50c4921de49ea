/* fuzz_chunk.c - anything as a chunk, and rows out of anything as a chunk and back.
 *
 * The first byte chooses. What must hold: a chunk that can be read to its end gives rows that, written
 * again, come back as they are; states are told of the same rows; what is damaged is refused. */
#include "chunk.h"
#include "pack.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct chunk_tools tools;

static struct slice all_of(const msgpack_sbuffer *b)
{
    return (struct slice){ b->data, b->size };
}

/* Packed and unpacked, they are the same. */
static void round_trip(bool is_state, const struct chunk_row *rows, size_t count)
{
    msgpack_sbuffer halves[2], plain[2];
    struct chunk_summary summary;
    struct chunk_row row;
    for (int i = 0; i < 2; i++) {
        msgpack_sbuffer_init(&halves[i]);
        msgpack_sbuffer_init(&plain[i]);
    }
    chunk_write(&tools, is_state, rows, count, &halves[0], &halves[1], &summary);
    chunk_reader_t *reader = chunk_reader_new();
    for (int i = 0; i < 2; i++) {
        int rc = chunk_unpack(&tools, all_of(&halves[i]), &plain[i]);
        assert(rc == 0);
    }
    int rc = chunk_open(reader, is_state, all_of(&plain[0]), all_of(&plain[1]));
    assert(rc == 0 && chunk_rows(reader) == count);
    for (size_t i = 0; i < count; i++) {
        rc = chunk_next(reader, &row);
        assert(rc == 1 && row.at == rows[i].at && row.shift == rows[i].shift && row.place == rows[i].place && row.rest == rows[i].rest);
        assert(row.body.size == rows[i].body.size && (row.body.size == 0 || memcmp(row.body.data, rows[i].body.data, row.body.size) == 0));
    }
    rc = chunk_next(reader, &row);
    assert(rc == 0);
    chunk_reader_destroy(&reader);
    for (int i = 0; i < 2; i++) {
        msgpack_sbuffer_destroy(&halves[i]);
        msgpack_sbuffer_destroy(&plain[i]);
    }
}

/* Times that grow, bodies as they come. */
static void try_rows(bool is_state, struct slice bytes)
{
    enum { ROWS = 64 };
    struct unpack in = unpack_of(bytes);
    struct chunk_row rows[ROWS];
    size_t count = 0;
    int64_t at = 0;
    while (count < ROWS && in.at < in.end && !in.bad) {
        at += (int64_t)(unpack_number(&in) >> 14);
        rows[count] = (struct chunk_row){ .at = at, .shift = (int32_t)unpack_signed(&in), .place = unpack_signed(&in), .rest = (int32_t)unpack_number(&in) };
        rows[count].body = unpack_slice(&in);
        count += !in.bad;
        if (at > MAX_TIME_US)
            break;
    }
    if (count > 0)
        round_trip(is_state, rows, count);
}

static void try_chunk(bool is_state, struct slice bytes)
{
    struct unpack in = unpack_of(bytes);
    struct slice main = unpack_slice(&in), rest = { in.at, (size_t)(in.end - in.at) };
    chunk_reader_t *reader = chunk_reader_new();
    struct chunk_row row;
    struct chunk_state state;
    struct chunk_moment told;
    if (in.bad)
        main = rest = bytes;
    if (chunk_open(reader, is_state, main, rest) == 0)
        while (chunk_next(reader, &row) > 0)
            assert(row.body.size == 0 || row.body.data);
    if (chunk_open(reader, is_state, main, (struct slice){ NULL, 0 }) == 0) {
        chunk_pass_states(reader, bytes.size % 3);
        while (chunk_next_state(reader, &state) > 0)
            assert(chunk_text(reader, &state).data);
    }
    if (chunk_open(reader, is_state, main, (struct slice){ NULL, 0 }) == 0 && chunk_in_force(reader, (int64_t)bytes.size << (bytes.size % 60), &told) == 1)
        assert(told.state.data && told.row < chunk_rows(reader));
    chunk_reader_destroy(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice bytes = { data + 1, size - 1 };
    bool is_state = data[0] & 1;
    msgpack_sbuffer plain;
    switch (data[0] >> 1 & 3) {
    case 0: try_rows(is_state, bytes); break;
    case 1:
        msgpack_sbuffer_init(&plain);
        chunk_unpack(&tools, bytes, &plain);
        msgpack_sbuffer_destroy(&plain);
        break;
    default: try_chunk(is_state, bytes); break;
    }
    return 0;
}

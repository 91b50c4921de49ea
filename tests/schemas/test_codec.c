/* test_codec.c - messages survive the way through msgpack; what is no message is refused by name. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "schemas.h"

#define BYTES(text) ((struct slice){ (text), sizeof (text) - 1 })

/* A message with a row of every kind. */
struct sample {
    bool has_name; uint32_t name_size; char name[9];
    bool has_note; struct slice note;
    bool has_json; struct slice json;
    bool has_blob; struct slice blob;
    bool has_whole; int64_t whole;
    bool has_real; double real;
    bool has_flag; bool flag;
    bool has_small; int64_t small;
};

#define AT(member) .name = #member, .at = offsetof(struct sample, member), .has_at = offsetof(struct sample, has_##member)
static const struct field rows[] = {
    { AT(name), .kind = TEXT_KIND, .size_at = offsetof(struct sample, name_size), .max = 8, .flags = REQUIRED },
    { AT(note), .kind = VIEW_KIND, .max = 100000 },
    { AT(json), .kind = JSON_KIND, .max = 100 },
    { AT(blob), .kind = BLOB_KIND, .max = 100000 },
    { AT(whole), .kind = INT_KIND, .low = INT64_MIN, .high = INT64_MAX },
    { AT(real), .kind = REAL_KIND, .least = -1e308, .most = 1e308 },
    { AT(flag), .kind = FLAG_KIND },
    { AT(small), .kind = INT_KIND, .low = -5, .high = 10, .fallback = "7" },
};
#undef AT
static const struct schema by_name = { "sample", "", BY_NAME, rows, sizeof rows / sizeof *rows, sizeof(struct sample) };
static const struct schema by_place = { "sample", "", BY_PLACE, rows, sizeof rows / sizeof *rows, sizeof(struct sample) };

static struct sample full(void)
{
    struct sample m = { 0 };
    SET_TEXT(&m, name, "a\0b", 3);
    SET(&m, note, BYTES("caf\xc3\xa9 \xed\xa0\x80"));
    SET(&m, json, BYTES("{\"a\":1}"));
    SET(&m, blob, BYTES("\x00\xff\x01"));
    SET(&m, whole, INT64_MIN);
    SET(&m, real, 0.1);
    SET(&m, flag, false);
    SET(&m, small, -5);
    return m;
}

static msgpack_sbuffer encoded(const struct schema *schema, const struct sample *m)
{
    msgpack_sbuffer out;
    struct fault fault;
    msgpack_sbuffer_init(&out);
    assert_int_equal(schema_encode(schema, m, &out, &fault), 0);
    return out;
}

static struct slice bytes_of(const msgpack_sbuffer *buffer)
{
    return (struct slice){ buffer->data, buffer->size };
}

static void assert_same_bytes(struct slice a, struct slice b)
{
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
}

static void a_message_survives_in_both_forms(void **state)
{
    (void)state;
    const struct schema *forms[] = { &by_name, &by_place };
    for (size_t i = 0; i < 2; i++) {
        struct sample in = full(), out;
        struct fault fault;
        msgpack_sbuffer frame = encoded(forms[i], &in);
        assert_int_equal(frame_check(bytes_of(&frame), 2), 0);
        for (size_t j = 0; j < 2; j++) { /* either schema reads either form */
            assert_int_equal(schema_decode(forms[j], bytes_of(&frame), &out, &fault), 0);
            assert_int_equal(out.name_size, 3);
            assert_memory_equal(out.name, "a\0b", 4);
            assert_same_bytes(out.note, in.note);
            assert_same_bytes(out.json, in.json);
            assert_same_bytes(out.blob, in.blob);
            assert_true(out.whole == INT64_MIN && out.real == 0.1 && out.has_flag && !out.flag && out.small == -5);
            const char *begin = frame.data, *note = out.note.data;
            assert_true(note > begin && note < begin + frame.size); /* nothing is copied */
        }
        msgpack_sbuffer_destroy(&frame);
    }
}

static void empty_text_differs_from_absent_text(void **state)
{
    (void)state;
    const struct schema *forms[] = { &by_name, &by_place };
    for (size_t i = 0; i < 2; i++) {
        struct sample in = { 0 }, out;
        struct fault fault;
        SET_TEXT(&in, name, "", 0);
        SET(&in, note, ((struct slice){ NULL, 0 }));
        msgpack_sbuffer frame = encoded(forms[i], &in);
        assert_int_equal(schema_decode(forms[i], bytes_of(&frame), &out, &fault), 0);
        assert_true(out.has_name && out.name_size == 0 && out.has_note && out.note.size == 0);
        assert_true(!out.has_blob && !out.has_json && !out.has_flag && !out.has_whole && !out.has_real);
        msgpack_sbuffer_destroy(&frame);
    }
}

static void msgpack_c_reads_what_we_write(void **state)
{
    (void)state;
    struct sample in = full();
    msgpack_sbuffer frame = encoded(&by_name, &in);
    msgpack_unpacked read;
    msgpack_unpacked_init(&read);
    size_t used = 0;
    assert_int_equal(msgpack_unpack_next(&read, frame.data, frame.size, &used), MSGPACK_UNPACK_SUCCESS);
    assert_int_equal(used, frame.size);
    assert_int_equal(read.data.type, MSGPACK_OBJECT_MAP);
    assert_int_equal(read.data.via.map.size, by_name.count);
    static const msgpack_object_type types[] = { MSGPACK_OBJECT_STR, MSGPACK_OBJECT_STR, MSGPACK_OBJECT_STR,
        MSGPACK_OBJECT_BIN, MSGPACK_OBJECT_NEGATIVE_INTEGER, MSGPACK_OBJECT_FLOAT64, MSGPACK_OBJECT_BOOLEAN,
        MSGPACK_OBJECT_NEGATIVE_INTEGER };
    for (size_t i = 0; i < by_name.count; i++) {
        msgpack_object_kv pair = read.data.via.map.ptr[i];
        assert_same_bytes((struct slice){ pair.key.via.str.ptr, pair.key.via.str.size }, slice_of(rows[i].name));
        assert_int_equal(pair.val.type, types[i]);
    }
    msgpack_unpacked_destroy(&read);
    msgpack_sbuffer_destroy(&frame);
}

/* Whatever msgpack-c makes of bytes, frame_check agrees. */
static void frame_check_agrees_with_msgpack_c(void **state)
{
    (void)state;
    srand(7);
    for (int round = 0; round < 20000; round++) {
        unsigned char bytes[12];
        size_t size = 1 + (size_t)rand() % sizeof bytes, used = 0;
        for (size_t i = 0; i < size; i++)
            bytes[i] = (unsigned char)(rand() % 3 ? rand() % 16 + 16 * (8 + rand() % 8) : rand() % 256);
        bool ours = frame_check((struct slice){ bytes, size }, 32) == 0;
        if (bytes[0] == 0xc9 || (!ours && memchr(bytes, 0xdd, size)) || (!ours && memchr(bytes, 0xdf, size)))
            continue; /* msgpack-c reserves gigabytes for these, which is why ours comes first */
        msgpack_unpacked read;
        msgpack_unpacked_init(&read);
        msgpack_unpack_return rc = msgpack_unpack_next(&read, (const char *)bytes, size, &used);
        assert_int_equal(ours, (rc == MSGPACK_UNPACK_SUCCESS || rc == MSGPACK_UNPACK_EXTRA_BYTES) && used == size);
        msgpack_unpacked_destroy(&read);
    }
}

/* The frame is copied to a block of its size, so that the sanitizer sees a read beyond it. */
static int decode_exactly(const struct schema *schema, struct slice frame, struct fault *fault)
{
    struct sample out;
    char *copy = malloc(frame.size + (frame.size == 0));
    assert_non_null(copy);
    if (frame.size > 0)
        memcpy(copy, frame.data, frame.size);
    int rc = schema_decode(schema, (struct slice){ copy, frame.size }, &out, fault);
    assert_true(rc == 0 || (fault->field && fault->why));
    free(copy);
    return rc;
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    const struct schema *forms[] = { &by_name, &by_place };
    for (size_t i = 0; i < 2; i++) {
        struct sample in = full();
        struct fault fault;
        msgpack_sbuffer frame = encoded(forms[i], &in);
        for (size_t size = 0; size < frame.size; size++) {
            assert_int_equal(decode_exactly(forms[i], (struct slice){ frame.data, size }, &fault), -1);
            assert_int_equal(frame_check((struct slice){ frame.data, size }, 8), -1);
        }
        msgpack_sbuffer_write(&frame, "\xc0", 1);
        assert_int_equal(decode_exactly(forms[i], bytes_of(&frame), &fault), -1); /* nor may anything follow */
        msgpack_sbuffer_destroy(&frame);
    }
}

static void every_changed_byte_is_read_or_refused(void **state)
{
    (void)state;
    const struct schema *forms[] = { &by_name, &by_place };
    for (size_t i = 0; i < 2; i++) {
        struct sample in = full();
        struct fault fault;
        msgpack_sbuffer frame = encoded(forms[i], &in);
        for (size_t at = 0; at < frame.size; at++) {
            char kept = frame.data[at];
            for (int byte = 0; byte < 256; byte++) {
                frame.data[at] = (char)byte;
                decode_exactly(forms[i], bytes_of(&frame), &fault);
            }
            frame.data[at] = kept;
        }
        msgpack_sbuffer_destroy(&frame);
    }
}

static void assert_refused(struct slice frame, const char *field)
{
    struct fault fault = { "", "" };
    assert_int_equal(decode_exactly(&by_name, frame, &fault), -1);
    assert_string_equal(fault.field, field);
}

static void unknown_names_are_ignored(void **state)
{
    (void)state;
    struct fault fault;
    assert_int_equal(decode_exactly(&by_name, BYTES("\x83\xa5later\x92\x01\x81\xa1x\xc0\xa4name\xa1n\xa0\x01"), &fault), 0);
    assert_int_equal(decode_exactly(&by_name, BYTES("\x82\xa4name\xa1n\xa5name\0\x01"), &fault), 0); /* another name */
    assert_int_equal(decode_exactly(&by_name, BYTES("\x82\xa4name\xa1n\xa3nam\x01"), &fault), 0);
}

static void a_name_given_twice_is_refused(void **state)
{
    (void)state;
    assert_refused(BYTES("\x82\xa4name\xa1n\xa4name\xa1n"), "name");
    assert_refused(BYTES("\x83\xa4name\xa1n\xa4note\xc0\xa4note\xa1n"), "note"); /* nil was the first */
}

static void a_missing_required_row_is_named(void **state)
{
    (void)state;
    struct sample m = { 0 };
    struct fault fault;
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    msgpack_sbuffer_write(&out, "x", 1);
    assert_refused(BYTES("\x80"), "name");
    assert_refused(BYTES("\x90"), "name");
    assert_refused(BYTES("\x81\xa4name\xc0"), "name");
    assert_int_equal(schema_encode(&by_name, &m, &out, &fault), -1);
    assert_string_equal(fault.field, "name");
    assert_int_equal(out.size, 1); /* nothing was added */
    msgpack_sbuffer_destroy(&out);
}

static void wrong_types_name_the_row(void **state)
{
    (void)state;
    assert_refused(BYTES("\x91\x01"), "name");
    assert_refused(BYTES("\x92\xa1n\xc4\x01x"), "note");
    assert_refused(BYTES("\x93\xa1n\xc0\x80"), "json");
    assert_refused(BYTES("\x93\xa1n\xc0\xa0"), "json"); /* no JSON value is empty */
    assert_refused(BYTES("\x94\xa1n\xc0\xc0\xa1x"), "blob");
    assert_refused(BYTES("\x95\xa1n\xc0\xc0\xc0\xcb\0\0\0\0\0\0\0\0"), "whole");
    assert_refused(BYTES("\x96\xa1n\xc0\xc0\xc0\xc0\xa1x"), "real");
    assert_refused(BYTES("\x97\xa1n\xc0\xc0\xc0\xc0\xc0\x01"), "flag");
    assert_refused(BYTES("\x81\x01\xa1n"), ""); /* a key that is no text */
    assert_refused(BYTES("\xa1n"), "");
    assert_refused(BYTES("\x01"), "");
}

static void a_cut_head_is_not_taken_for_another(void **state)
{
    (void)state;
    struct fault fault;
    const struct schema *nothing = nothing_schema();
    struct nothing out;
    assert_int_equal(schema_decode(nothing, BYTES("\xdc\x80"), &out, &fault), -1);
    assert_int_equal(schema_decode(nothing, BYTES("\xdd\x80"), &out, &fault), -1);
    assert_int_equal(schema_decode(nothing, BYTES("\x80"), &out, &fault), 0);
    assert_int_equal(schema_decode(nothing, BYTES("\xdf\0\0\0\0"), &out, &fault), 0);
}

static void later_places_may_be_missing_and_extra_ones_are_ignored(void **state)
{
    (void)state;
    struct sample out;
    struct fault fault;
    assert_int_equal(schema_decode(&by_place, BYTES("\x91\xa1n"), &out, &fault), 0);
    assert_true(out.has_name && !out.has_note && !out.has_flag);
    assert_true(out.has_small && out.small == 7); /* its fallback */
    assert_int_equal(schema_decode(&by_place,
        BYTES("\x9b\xa1n\xc0\xc0\xc0\xc0\xc0\xc0\x03\x81\x01\x91\xc0\xd4\x01\x02\xc7\x01\x00z"), &out, &fault), 0);
    assert_int_equal(out.small, 3);
}

static void all_widths_of_integers_are_read(void **state)
{
    (void)state;
    static const struct { struct slice bytes; int64_t value; } cases[] = {
        { { "\x95\xa1n\xc0\xc0\xc0\x7f", 7 }, 127 },
        { { "\x95\xa1n\xc0\xc0\xc0\xe0", 7 }, -32 },
        { { "\x95\xa1n\xc0\xc0\xc0\xcc\xff", 8 }, 255 },
        { { "\x95\xa1n\xc0\xc0\xc0\xcd\xff\xff", 9 }, 65535 },
        { { "\x95\xa1n\xc0\xc0\xc0\xce\xff\xff\xff\xff", 11 }, 4294967295 },
        { { "\x95\xa1n\xc0\xc0\xc0\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 15 }, INT64_MAX },
        { { "\x95\xa1n\xc0\xc0\xc0\xd0\x80", 8 }, -128 },
        { { "\x95\xa1n\xc0\xc0\xc0\xd1\x80\x00", 9 }, -32768 },
        { { "\x95\xa1n\xc0\xc0\xc0\xd2\x80\x00\x00\x00", 11 }, INT32_MIN },
        { { "\x95\xa1n\xc0\xc0\xc0\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 15 }, INT64_MIN },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sample out;
        struct fault fault;
        assert_int_equal(schema_decode(&by_place, cases[i].bytes, &out, &fault), 0);
        assert_true(out.whole == cases[i].value);
    }
    assert_refused(BYTES("\x95\xa1n\xc0\xc0\xc0\xcf\x80\0\0\0\0\0\0\0"), "whole"); /* 2^63 */
}

static void ranges_and_lengths_are_kept_in_both_directions(void **state)
{
    (void)state;
    assert_refused(BYTES("\x82\xa4name\xa1n\xa5small\xfa"), "small");
    assert_refused(BYTES("\x82\xa4name\xa1n\xa5small\x0b"), "small");
    assert_refused(BYTES("\x81\xa4name\xa9""123456789"), "name");
    assert_refused(BYTES("\x96\xa1n\xc0\xc0\xc0\xc0\xcb\x7f\xf8\0\0\0\0\0\0"), "real"); /* NaN */
    assert_refused(BYTES("\x96\xa1n\xc0\xc0\xc0\xc0\xca\x7f\x80\0\0"), "real");         /* infinity */
    struct sample m = full();
    struct fault fault;
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    SET(&m, small, 11);
    assert_int_equal(schema_encode(&by_name, &m, &out, &fault), -1);
    assert_string_equal(fault.field, "small");
    SET(&m, small, 10);
    SET(&m, real, 1e308 * 10);
    assert_int_equal(schema_encode(&by_name, &m, &out, &fault), -1);
    assert_string_equal(fault.field, "real");
    assert_int_equal(out.size, 0);
    msgpack_sbuffer_destroy(&out);
}

static void text_that_does_not_fit_stays_absent(void **state)
{
    (void)state;
    struct sample m = { 0 };
    assert_int_equal(SET_TEXT(&m, name, "12345678", 8), 0);
    assert_true(m.has_name);
    assert_int_equal(SET_TEXT(&m, name, "123456789", 9), -1);
    assert_true(!m.has_name && m.name_size == 0 && m.name[0] == '\0');
}

static void bombs_are_refused_at_once(void **state)
{
    (void)state;
    static const struct slice bombs[] = {
        { "\xdd\x0f\xff\xff\xff", 5 }, { "\xdf\x0f\xff\xff\xff", 5 }, { "\xdd\xff\xff\xff\xff\xc0", 6 },
        { "\xdb\xff\xff\xff\xff", 5 }, { "\xc6\xff\xff\xff\xff", 5 }, { "\xc9\xff\xff\xff\xff\x01", 6 },
        { "\xdf\xff\xff\xff\xff", 5 }, { "\xc1", 1 }, { "\x81\xa4later\xdd\x0f\xff\xff\xff", 10 },
    };
    struct fault fault;
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
        assert_int_equal(frame_check(bombs[i], 32), -1);
        assert_int_equal(decode_exactly(&by_name, bombs[i], &fault), -1);
        assert_int_equal(decode_exactly(&by_place, bombs[i], &fault), -1);
    }
    unsigned char deep[100000];
    memset(deep, 0x91, sizeof deep);
    deep[sizeof deep - 1] = 0xc0;
    assert_int_equal(frame_check((struct slice){ deep, sizeof deep }, 32), -1);
    assert_int_equal(frame_check((struct slice){ deep + sizeof deep - 4, 4 }, 3), 0);
    assert_int_equal(frame_check((struct slice){ deep + sizeof deep - 4, 4 }, 2), -1);
}

static void frames_are_cut_off_one_by_one(void **state)
{
    (void)state;
    struct slice rest = BYTES("\x91\x01\x80\xa2hi\xdd\x0f"), one;
    assert_true(frame_next(&rest, &one));
    assert_same_bytes(one, BYTES("\x91\x01"));
    assert_true(frame_next(&rest, &one));
    assert_same_bytes(one, BYTES("\x80"));
    assert_true(frame_next(&rest, &one));
    assert_same_bytes(one, BYTES("\xa2hi"));
    assert_false(frame_next(&rest, &one));
    assert_int_equal(rest.size, 2); /* broken, not ended */
    rest = BYTES("\xc0");
    assert_true(frame_next(&rest, &one));
    assert_false(frame_next(&rest, &one));
    assert_int_equal(rest.size, 0);
}

static void rows_of_every_table_are_sound(void **state)
{
    (void)state;
    for (size_t i = 0; all_schemas[i]; i++) {
        const struct schema *schema = all_schemas[i]();
        void *msg = calloc(1, schema->size);
        struct fault fault;
        assert_true(schema->count > 0 && schema->count <= 256);
        schema_defaults(schema, msg, &fault); /* aborts where a fallback breaks its own row */
        for (size_t j = 0; j < schema->count; j++)
            assert_ptr_equal(schema_field(schema, schema->fields[j].name, strlen(schema->fields[j].name)), &schema->fields[j]);
        free(msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_survives_in_both_forms),
        cmocka_unit_test(empty_text_differs_from_absent_text),
        cmocka_unit_test(msgpack_c_reads_what_we_write),
        cmocka_unit_test(frame_check_agrees_with_msgpack_c),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_changed_byte_is_read_or_refused),
        cmocka_unit_test(unknown_names_are_ignored),
        cmocka_unit_test(a_name_given_twice_is_refused),
        cmocka_unit_test(a_missing_required_row_is_named),
        cmocka_unit_test(wrong_types_name_the_row),
        cmocka_unit_test(a_cut_head_is_not_taken_for_another),
        cmocka_unit_test(later_places_may_be_missing_and_extra_ones_are_ignored),
        cmocka_unit_test(all_widths_of_integers_are_read),
        cmocka_unit_test(ranges_and_lengths_are_kept_in_both_directions),
        cmocka_unit_test(text_that_does_not_fit_stays_absent),
        cmocka_unit_test(bombs_are_refused_at_once),
        cmocka_unit_test(frames_are_cut_off_one_by_one),
        cmocka_unit_test(rows_of_every_table_are_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

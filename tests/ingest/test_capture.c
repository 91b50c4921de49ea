/* test_capture.c - the capture log against torn tails, rot, full disks and restarts. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "capture.h"
#include "crc32c.h"
#include "folder.h"

#include <sched.h>
#include <sys/resource.h>
#include <signal.h>

#define SECOND INT64_C(1000000)

struct world {
    struct folder folder;
    struct capture_options options;
    struct capture_loss losses[8];
    int loss_count;
    int64_t now, free_bytes;
};

static void note_loss(void *owner, const struct capture_loss *loss)
{
    struct world *world = owner;
    if (world->loss_count < 8)
        world->losses[world->loss_count] = *loss;
    world->loss_count++;
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    folder_make(&world->folder);
    world->now = 1000 * SECOND;
    world->options = (struct capture_options){ .directory = world->folder.path, .segment_bytes = 4096,
        .max_bytes = 1 << 20, .sync_us = SECOND, .on_loss = note_loss, .owner = world };
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    folder_remove(&world->folder);
    free(world);
    return 0;
}

static capture_t *open_log(struct world *world)
{
    const char *why = "";
    capture_t *log = capture_open(&world->options, world->now, &why);
    assert_non_null(log);
    return log;
}

static int64_t append(struct world *world, capture_t *log, const char *text, uint32_t events)
{
    struct capture_record record = { .received_us = world->now, .session = 7, .first_id = 2, .last_id = 2,
        .events = events, .bytes = slice_of(text) };
    assert_int_equal(capture_append(log, &record, 1, world->now), 0);
    return record.place;
}

/* Publishes all that is under the cursor as messages from `number` on. */
static uint64_t publish_all(capture_t *log, uint64_t number)
{
    struct capture_record record;
    while (capture_read(log, &record)) {
        for (uint32_t i = record.done; i < record.events; i++)
            capture_sent(log, 0, number++);
        capture_next(log);
    }
    return number;
}

static int read_all(capture_t *log, char *to, size_t room)
{
    struct capture_record record;
    int count = 0;
    size_t at = 0;
    to[0] = '\0';
    while (capture_read(log, &record)) {
        at += (size_t)snprintf(to + at, room - at, "%.*s,", (int)record.bytes.size, (const char *)record.bytes.data);
        capture_next(log);
        count++;
    }
    return count;
}

static void the_checksum_is_crc32c_by_instruction_and_by_table(void **state)
{
    (void)state;
    struct crc32c crc;
    crc32c_open(&crc);
    assert_int_equal(crc32c_add(&crc, 0, "123456789", 9), 0xe3069283);
    char bytes[1000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7);
    struct crc32c slow = crc;
    slow.hardware = false;
    for (size_t size = 0; size < sizeof bytes; size += 13)
        assert_int_equal(crc32c_add(&crc, 5, bytes, size), crc32c_add(&slow, 5, bytes, size));
    assert_int_equal(crc32c_add(&slow, 0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c_add(&crc, crc32c_add(&crc, 0, "1234", 4), "56789", 5), 0xe3069283);
}

static void records_come_back_in_order_with_everything_about_them(void **state)
{
    struct world *world = *state;
    capture_t *log = open_log(world);
    int64_t first = append(world, log, "one", 1);
    world->now += 5;
    int64_t second = append(world, log, "second", 3);
    assert_int_equal(second - first, CAPTURE_HEADER + 3);
    struct capture_record record;
    assert_true(capture_read(log, &record));
    assert_int_equal(record.place, first);
    assert_memory_equal(record.bytes.data, "one", 3);
    assert_false(record.replayed);
    capture_next(log);
    assert_true(capture_read(log, &record));
    assert_int_equal(record.place, second);
    assert_int_equal(record.received_us, world->now);
    assert_int_equal(record.session, 7);
    assert_int_equal(record.events, 3);
    assert_int_equal(record.last_id, 2);
    capture_sent(log, 0, 1);
    assert_true(capture_read(log, &record));
    assert_int_equal(record.done, 1);
    capture_next(log);
    assert_true(capture_at_end(log));
    assert_false(capture_read(log, &record));
    capture_close(&log);
}

/* A directory lists its files in an order of its own, and in another one where the names are others. */
static void a_record_remembers_where_it_is_from(void **state)
{
    struct world *world = *state;
    capture_t *log = open_log(world);
    for (int i = 0; i < PROVENANCES; i++) {
        struct capture_record record = { .received_us = world->now, .session = 7, .first_id = 1, .last_id = 1, .events = 1,
            .provenance = (enum provenance)i, .is_starting = i == 2, .bytes = slice_of("frame") };
        assert_int_equal(capture_append(log, &record, 1, world->now), 0);
    }
    capture_close(&log);
    log = open_log(world);
    struct capture_record record;
    for (int i = 0; i < PROVENANCES; i++) {
        assert_true(capture_read(log, &record));
        assert_int_equal(record.provenance, i);
        assert_int_equal(record.is_starting, i == 2);
        capture_next(log);
    }
    capture_close(&log);
}

static void a_mark_is_settled_when_all_before_it_is_acknowledged(void **state)
{
    struct world *world = *state;
    capture_t *log = open_log(world);
    append(world, log, "one", 3);
    uint64_t number = publish_all(log, 1);
    int64_t mark = capture_mark(log);
    append(world, log, "two", 2);
    number = publish_all(log, number);
    assert_false(capture_is_settled(log, mark));
    capture_acked(log, 0, 4, 5, world->now); /* what came after */
    capture_acked(log, 0, 1, 2, world->now);
    assert_false(capture_is_settled(log, mark));
    append(world, log, "three", 1);
    (void)publish_all(log, number);
    capture_acked(log, 0, 3, 3, world->now);
    assert_true(capture_is_settled(log, mark)); /* though events come all the time */
    assert_false(capture_is_settled(log, capture_mark(log)));
    capture_close(&log);
}

static void segments_are_read_in_order_however_the_directory_lists_them(void **state)
{
    struct world *world = *state;
    char text[256], name[PATH_MAX], path[PATH_MAX];
    world->options.segment_bytes = CAPTURE_HEADER;
    for (int round = 0; round < 20; round++) {
        capture_t *log = open_log(world);
        for (const char *c = "abcdefghijklmn"; *c; c++)
            append(world, log, (char[]){ *c, '\0' }, 1);
        /* no close: killed */
        capture_t *next = open_log(world);
        assert_int_equal(read_all(next, text, sizeof text), 14);
        assert_string_equal(text, "a,b,c,d,e,f,g,h,i,j,k,l,m,n,");
        capture_close(&next);
        capture_close(&log);
        while (folder_count(&world->folder, ".log", name) > 0) { /* `position` stays: other names next time */
            folder_file(&world->folder, name, path);
            unlink(path);
        }
    }
}

static void what_was_not_acknowledged_is_read_again_after_a_kill(void **state)
{
    struct world *world = *state;
    char text[4096];
    capture_t *log = open_log(world);
    append(world, log, "a", 1);
    append(world, log, "b", 1);
    publish_all(log, 1);
    assert_int_equal(capture_acked(log, 0, 1, 1, world->now), 1);
    /* no close: killed. A second one opens the same files. */
    capture_t *next = open_log(world);
    struct capture_record record;
    assert_true(capture_read(next, &record));
    assert_true(record.replayed);
    int64_t new_place = append(world, next, "c", 1);
    assert_int_equal(read_all(next, text, sizeof text), 3);
    assert_string_equal(text, "a,b,c,");
    assert_true(new_place > record.place + 1);
    capture_close(&next);
    capture_close(&log);
}

static void a_tail_torn_at_any_byte_is_cut_and_never_misread(void **state)
{
    struct world *world = *state;
    char name[PATH_MAX], whole[4096], text[4096];
    capture_t *log = open_log(world);
    append(world, log, "first", 1);
    append(world, log, "second", 1);
    capture_close(&log);
    assert_int_equal(folder_count(&world->folder, ".log", name), 1);
    size_t size = folder_read(&world->folder, name, whole, sizeof whole);
    size_t second_at = CAPTURE_HEADER + 5;
    for (size_t cut = 0; cut <= size; cut++) {
        folder_write(&world->folder, name, whole, cut);
        log = open_log(world);
        int expected = cut == size ? 2 : cut >= second_at ? 1 : 0;
        size_t whole_bytes = expected == 2 ? size : expected == 1 ? second_at : 0;
        assert_int_equal(capture_torn(log), cut - whole_bytes);
        assert_int_equal(capture_bytes(log), whole_bytes);
        append(world, log, "after", 1);
        assert_int_equal(read_all(log, text, sizeof text), expected + 1);
        assert_string_equal(text, expected == 2 ? "first,second,after," : expected == 1 ? "first,after," : "after,");
        capture_close(&log);
        struct folder *folder = &world->folder;
        for (char other[PATH_MAX]; folder_count(folder, ".log", other) > 0;) {
            char path[PATH_MAX];
            folder_file(folder, other, path);
            unlink(path);
        }
    }
    assert_int_equal(world->loss_count, 0);
}

static void a_byte_flipped_anywhere_is_found(void **state)
{
    struct world *world = *state;
    char name[PATH_MAX], whole[4096], text[4096];
    capture_t *log = open_log(world);
    append(world, log, "first", 1);
    append(world, log, "second", 1);
    capture_close(&log);
    folder_count(&world->folder, ".log", name);
    size_t size = folder_read(&world->folder, name, whole, sizeof whole);
    for (size_t i = 0; i < size; i++) {
        whole[i] ^= 0x20;
        folder_write(&world->folder, name, whole, size);
        whole[i] ^= 0x20;
        log = open_log(world);
        read_all(log, text, sizeof text);
        assert_string_equal(text, i < CAPTURE_HEADER + 5 ? "" : "first,");
        capture_close(&log);
    }
}

static void rot_in_an_older_segment_is_told_and_the_rest_is_read(void **state)
{
    struct world *world = *state;
    char name[PATH_MAX], whole[8192], text[16384], big[3000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    capture_t *log = open_log(world);
    append(world, log, "good", 1);
    world->now += SECOND;
    append(world, log, big, 5);
    world->now += SECOND;
    append(world, log, big, 1); /* the next segment */
    capture_close(&log);
    assert_int_equal(folder_count(&world->folder, ".log", name), 2);
    size_t size = folder_read(&world->folder, name, whole, sizeof whole);
    whole[size - 1] ^= 1;
    folder_write(&world->folder, name, whole, size);
    log = open_log(world);
    assert_int_equal(read_all(log, text, sizeof text), 2);
    assert_int_equal(world->loss_count, 1);
    assert_false(world->losses[0].overflow);
    assert_int_equal(world->losses[0].first_us, world->now - 2 * SECOND);
    assert_int_equal(world->losses[0].last_us, world->now);
    capture_close(&log);
}

/* Of two segments not even the first record is there: between what came before them and what comes behind. */
static void segments_of_which_nothing_can_be_read_are_told_with_what_is_around_them(void **state)
{
    struct world *world = *state;
    char name[PATH_MAX], text[4096];
    int64_t places[4];
    world->options.segment_bytes = CAPTURE_HEADER;
    for (int round = 0; round < 2; round++) { /* with a whole segment before them, and without */
        capture_t *log = open_log(world);
        world->loss_count = 0;
        for (int i = round; i < 4; i++, world->now += SECOND)
            places[i] = append(world, log, "a frame", 1);
        capture_close(&log);
        for (int i = 1; i < 3; i++) {
            snprintf(name, sizeof name, "%020lld.log", (long long)places[i] - CAPTURE_HEADER);
            folder_write(&world->folder, name, (char[CAPTURE_HEADER + 7]){ 0 }, CAPTURE_HEADER + 7);
        }
        log = open_log(world);
        assert_int_equal(read_all(log, text, sizeof text), 2 - round);
        assert_int_equal(world->loss_count, 2);
        assert_int_equal(world->losses[0].first_us, round ? 0 : world->now - 4 * SECOND);
        assert_int_equal(world->losses[0].last_us, world->now - SECOND);
        capture_close(&log);
        while (folder_count(&world->folder, ".log", name) > 0) {
            folder_file(&world->folder, name, text);
            unlink(text);
        }
    }
}

/* Nothing is known to have come up to then but the frame itself. */
static void what_is_given_back_or_made_says_nothing_of_the_connection(void **state)
{
    struct world *world = *state;
    capture_t *log = open_log(world);
    append(world, log, "heard", 1);
    int64_t heard = world->now;
    world->now += SECOND;
    struct capture_record made[] = {
        { .received_us = world->now, .events = 1, .bytes = slice_of("given back") },
        { .received_us = world->now, .session = 7, .events = 1, .provenance = FROM_BACKFILL, .bytes = slice_of("history") },
    };
    assert_int_equal(capture_append(log, made, 2, world->now), 0);
    assert_int_equal(capture_last_heard(log), heard);
    assert_int_equal(capture_close(&log), 0);
    log = open_log(world);
    assert_int_equal(capture_last_heard(log), heard);
    capture_close(&log);
}

/* What the ledger may say of it after a power cut. */
static void what_is_safe_begins_with_what_was_not_synced(void **state)
{
    struct world *world = *state;
    capture_t *log = open_log(world);
    assert_int_equal(capture_safe(log, world->now), world->now);
    int64_t written = world->now;
    append(world, log, "a", 1);
    publish_all(log, 1);
    world->now += SECOND / 2;
    append(world, log, "b", 1);
    assert_int_equal(capture_safe(log, world->now), written);
    world->now += SECOND / 2;
    capture_tick(log, world->now);
    assert_int_equal(capture_syncs(log), 1);
    assert_int_equal(capture_safe(log, world->now), world->now);
    int64_t acked = world->now;
    append(world, log, "c", 1);
    publish_all(log, 2);
    capture_acked(log, 0, 1, 3, ++world->now);
    capture_tick(log, ++world->now);
    assert_int_equal(capture_safe(log, world->now), acked);
    capture_stored(log, world->now, world->now);
    assert_int_equal(capture_safe(log, world->now + 5), world->now + 5);
    assert_int_equal(capture_syncs(log), 1);
    append(world, log, "d", 1);
    capture_t *next = open_log(world); /* killed: what it had not synced is so with the first tick */
    assert_int_equal(capture_safe(next, world->now), 0);
    capture_tick(next, world->now);
    assert_int_equal(capture_safe(next, world->now), world->now);
    assert_int_equal(capture_close(&next), 0);
    capture_close(&log);
}

static void rot_in_the_newest_segment_is_told_up_to_what_came_last(void **state)
{
    struct world *world = *state;
    char name[PATH_MAX], whole[4096], text[4096];
    capture_t *log = open_log(world);
    for (int i = 0; i < 4; i++, world->now += SECOND)
        append(world, log, "a frame", 1);
    assert_int_equal(folder_count(&world->folder, ".log", name), 1);
    size_t size = folder_read(&world->folder, name, whole, sizeof whole);
    whole[size / 2 - 1] ^= 1; /* the second one's last byte */
    folder_write(&world->folder, name, whole, size);
    assert_int_equal(read_all(log, text, sizeof text), 1);
    assert_int_equal(world->loss_count, 1);
    assert_int_equal(world->losses[0].first_us, world->now - 4 * SECOND);
    assert_int_equal(world->losses[0].last_us, world->now - SECOND);
    append(world, log, "after", 1);
    assert_int_equal(read_all(log, text, sizeof text), 1);
    assert_string_equal(text, "after,");
    capture_close(&log);
}

static void a_segment_goes_when_acknowledged_and_the_store_has_synced_since(void **state)
{
    struct world *world = *state;
    capture_t *log = open_log(world);
    append(world, log, "a", 1);
    append(world, log, "b", 1);
    assert_int_equal(publish_all(log, 1), 3);
    assert_int_equal(capture_waiting(log), 2);
    capture_acked(log, 0, 1, 1, world->now);
    world->now += 30 * SECOND;
    capture_tick(log, world->now);
    capture_stored(log, world->now, world->now);
    assert_int_equal(capture_bytes(log), 2 * (CAPTURE_HEADER + 1)); /* b is not acknowledged */
    capture_acked(log, 0, 2, 2, world->now);
    capture_stored(log, world->now, world->now);
    assert_int_equal(capture_bytes(log), 2 * (CAPTURE_HEADER + 1)); /* the sync may have begun before it */
    world->now += 1;
    capture_tick(log, world->now);
    assert_int_equal(capture_bytes(log), 2 * (CAPTURE_HEADER + 1));
    capture_stored(log, world->now, world->now);
    assert_int_equal(capture_bytes(log), 0);
    assert_int_equal(folder_count(&world->folder, ".log", NULL), 1); /* the new, empty one */
    assert_int_equal(capture_waiting(log), 0);
    capture_close(&log);
}

/* A quiet house: ten events a second, each stored in 100 ms, and a store that syncs twice a second. */
static void what_the_store_syncs_in_time_is_not_synced_here(void **state)
{
    struct world *world = *state;
    capture_t *log = open_log(world);
    for (uint64_t i = 1; i <= 300; i++) {
        append(world, log, "event", 1);
        assert_int_equal(publish_all(log, i), i + 1);
        world->now += SECOND / 20;
        capture_acked(log, 0, i, i, world->now);
        world->now += SECOND / 20;
        capture_tick(log, world->now);
        if (i % 5 == 0)
            capture_stored(log, world->now, world->now + 10);
    }
    assert_int_equal(capture_syncs(log), 0);

    /* The store stands still: what it does not sync within a second is synced here, once. */
    append(world, log, "late", 1);
    publish_all(log, 301);
    for (int i = 0; i < 3; i++) {
        world->now += SECOND / 2;
        capture_tick(log, world->now);
        assert_int_equal(capture_syncs(log), i == 0 ? 0 : 1);
    }
    append(world, log, "later", 1);
    world->now += SECOND;
    capture_tick(log, world->now);
    assert_int_equal(capture_syncs(log), 2);
    capture_close(&log);
}

static void a_clock_set_back_holds_no_sync_up(void **state)
{
    struct world *world = *state;
    capture_t *log = open_log(world);
    append(world, log, "before", 1);
    world->now -= 3600 * SECOND;
    capture_tick(log, world->now);
    assert_int_equal(capture_syncs(log), 1);
    append(world, log, "after", 1);
    capture_tick(log, world->now + SECOND / 2);
    assert_int_equal(capture_syncs(log), 1);
    capture_tick(log, world->now + SECOND);
    assert_int_equal(capture_syncs(log), 2);
    capture_close(&log);
}

static void what_an_earlier_process_wrote_is_synced_before_long(void **state)
{
    struct world *world = *state;
    world->options.sync = CAPTURE_ALWAYS; /* what it did not come to sync */
    capture_t *killed = open_log(world);
    append(world, killed, "written, then killed", 1);
    capture_t *always = open_log(world);
    assert_int_equal(capture_safe(always, world->now), 0);
    capture_tick(always, world->now);
    assert_int_equal(capture_safe(always, world->now), world->now);
    capture_close(&always);
    capture_close(&killed);
    folder_remove(&world->folder);
    folder_make(&world->folder);
    world->options.sync = CAPTURE_INTERVAL;
    capture_t *log = open_log(world);
    append(world, log, "written, then killed", 1);
    capture_close(&log);
    log = open_log(world);
    world->now += SECOND;
    capture_tick(log, world->now);
    assert_int_equal(capture_syncs(log), 1);
    capture_tick(log, world->now + SECOND);
    assert_int_equal(capture_syncs(log), 1);
    capture_close(&log);
}

static void without_sync_a_segment_goes_at_once(void **state)
{
    struct world *world = *state;
    char big[4000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    world->options.sync = CAPTURE_NEVER;
    capture_t *log = open_log(world);
    for (int i = 0; i < 3; i++)
        append(world, log, big, 1);
    publish_all(log, 1);
    assert_int_equal(folder_count(&world->folder, ".log", NULL), 3);
    capture_acked(log, 0, 2, 3, world->now); /* in any order */
    assert_int_equal(folder_count(&world->folder, ".log", NULL), 3);
    capture_acked(log, 0, 1, 1, world->now);
    assert_int_equal(folder_count(&world->folder, ".log", NULL), 1);
    capture_close(&log);
}

static void acknowledgements_in_any_order_of_two_topics_are_told_apart(void **state)
{
    struct world *world = *state;
    world->options.sync = CAPTURE_NEVER;
    world->options.segment_bytes = 1;
    capture_t *log = open_log(world);
    struct capture_record record;
    for (int i = 0; i < 4; i++)
        append(world, log, "x", 2);
    for (uint64_t i = 0; i < 4; i++) {
        assert_true(capture_read(log, &record));
        capture_sent(log, 0, i + 1);
        capture_sent(log, 1, i + 1);
        capture_next(log);
    }
    assert_int_equal(capture_acked(log, 0, 1, 4, world->now), 4);
    assert_int_equal(folder_count(&world->folder, ".log", NULL), 4);
    assert_int_equal(capture_acked(log, 1, 3, 4, world->now), 2);
    assert_int_equal(folder_count(&world->folder, ".log", NULL), 4);
    assert_int_equal(capture_acked(log, 1, 1, 2, world->now), 2);
    assert_int_equal(folder_count(&world->folder, ".log", NULL), 1);
    assert_int_equal(capture_acked(log, 1, 1, 9, world->now), 1); /* the newest range is kept; nobody acknowledges twice */
    capture_close(&log);
}

static void offsets_grow_after_everything_was_unlinked(void **state)
{
    struct world *world = *state;
    int64_t last = -1;
    for (int i = 0; i < 5; i++) {
        world->options.sync = i == 4 ? CAPTURE_INTERVAL : CAPTURE_NEVER;
        capture_t *log = open_log(world);
        int64_t place = append(world, log, "x", 1);
        assert_true(place > last);
        last = place;
        publish_all(log, 1);
        capture_acked(log, 0, 1, 1, world->now);
        world->now += 60 * SECOND;
        capture_tick(log, world->now);
        capture_close(&log);
        if (i == 2) { /* all is gone but the position */
            char name[PATH_MAX], path[PATH_MAX];
            while (folder_count(&world->folder, ".log", name) > 0) {
                folder_file(&world->folder, name, path);
                unlink(path);
            }
        }
        if (i == 3)
            folder_write(&world->folder, "position", "nonsense", 8);
    }
}

static void a_power_cut_that_takes_the_tail_does_not_bring_places_back(void **state)
{
    struct world *world = *state;
    char name[PATH_MAX];
    capture_t *log = open_log(world);
    append(world, log, "kept", 1);
    int64_t lost = append(world, log, "published, stored, never synced here", 1);
    folder_count(&world->folder, ".log", name);
    char whole[4096];
    folder_read(&world->folder, name, whole, sizeof whole);
    folder_write(&world->folder, name, whole, CAPTURE_HEADER + 4);
    capture_t *next = open_log(world);
    assert_true(append(world, next, "new", 1) > lost);
    capture_close(&next);
    capture_close(&log);
}

static void a_full_log_gives_up_its_oldest_segment_and_says_what_was_in_it(void **state)
{
    struct world *world = *state;
    char big[4000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    world->options.max_bytes = 3 * (CAPTURE_HEADER + 3999);
    capture_t *log = open_log(world);
    for (int i = 0; i < 4; i++) {
        append(world, log, big, 10 + (uint32_t)i);
        world->now += SECOND;
    }
    assert_int_equal(world->loss_count, 1);
    assert_true(world->losses[0].overflow);
    assert_int_equal(world->losses[0].events, 10);
    assert_int_equal(world->losses[0].first_us, 1000 * SECOND);
    assert_int_equal(world->losses[0].last_us, 1000 * SECOND);
    assert_false(world->losses[0].continues);
    assert_true(capture_bytes(log) <= world->options.max_bytes);
    append(world, log, big, 1);
    assert_int_equal(world->loss_count, 2);
    assert_int_equal(world->losses[1].events, 11);
    assert_true(world->losses[1].continues);
    struct capture_record record;
    assert_true(capture_read(log, &record));
    assert_int_equal(record.events, 12);
    capture_close(&log);
}

static void what_was_ever_appended_is_known_in_every_process(void **state)
{
    struct world *world = *state;
    char text[1500];
    int64_t ever = 0;
    uint64_t acked = 0, sent = 1;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (uint32_t round = 0; round < 40; round++) {
        capture_t *log = open_log(world); /* which leaves nothing to be written at its end */
        assert_int_equal(capture_totals(log).received, ever);
        assert_true(capture_totals(log).in_flight <= ever);
        for (uint32_t i = 0; i < round % 7; i++, ever += i)
            append(world, log, text, i + 1);
        acked = sent - 1;
        sent = publish_all(log, sent);
        if (round % 3 && sent > acked + 1) {
            capture_acked(log, 0, acked + 1, sent - 1, world->now);
            assert_int_equal(capture_totals(log).in_flight, 0);
        }
        world->now += 40 * SECOND;
        capture_tick(log, world->now);
        capture_stored(log, world->now, world->now);
        capture_close(&log);
    }
}

static int64_t received_in_a_new_process(struct world *world)
{
    capture_t *log = open_log(world);
    int64_t received = capture_totals(log).received;
    capture_close(&log);
    return received;
}

static void a_tally_torn_by_a_kill_leaves_the_one_before_it(void **state)
{
    struct world *world = *state;
    char big[4000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    capture_t *log = open_log(world);
    append(world, log, "gone before long", 5);
    capture_acked(log, 0, 1, publish_all(log, 1) - 1, world->now);
    capture_tick(log, world->now += 40 * SECOND);
    capture_stored(log, world->now, world->now);
    for (uint32_t i = 1; i <= 2; i++) {
        append(world, log, big, i); /* a segment each */
        append(world, log, big, 10 * i);
        capture_tick(log, world->now += 2 * SECOND); /* tells it */
    }
    capture_close(&log);
    char whole[2][256];
    size_t sizes[2];
    for (int i = 0; i < 2; i++)
        assert_true((sizes[i] = folder_read(&world->folder, i ? "tally.1" : "tally.0", whole[i], sizeof whole[i])) > 0);
    int newest = strtol(whole[1], NULL, 10) > strtol(whole[0], NULL, 10);
    for (size_t at = 0; at < sizes[newest]; at++) {
        folder_write(&world->folder, newest ? "tally.1" : "tally.0", whole[newest], at);
        assert_int_equal(received_in_a_new_process(world), 5 + 33);
    }
    folder_write(&world->folder, "tally.0", "", 0);
    folder_write(&world->folder, "tally.1", "", 0);
    assert_int_equal(received_in_a_new_process(world), 33); /* of what went before nobody knows */
}

static void the_tally_of_an_older_version_is_read(void **state)
{
    struct world *world = *state;
    capture_t *log = open_log(world);
    append(world, log, "one of this version", 3);
    capture_close(&log);
    folder_write(&world->folder, "tally.0", "", 0);
    folder_write(&world->folder, "tally.1", "", 0);
    static const char tally[] = "1 7\n0 1200\nfeaa3608\n"; /* one segment, 1200 events before it, 7 given up */
    folder_write(&world->folder, "tally", tally, strlen(tally));
    log = open_log(world);
    assert_int_equal(capture_totals(log).received, 1203);
    assert_int_equal(capture_totals(log).given_up, 7);
    capture_close(&log);
}

static void what_is_given_up_is_known_in_every_process(void **state)
{
    struct world *world = *state;
    char big[4000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    world->options.max_bytes = 3 * (CAPTURE_HEADER + 3999);
    capture_t *log = open_log(world);
    for (uint32_t i = 0; i < 5; i++)
        append(world, log, big, 10 + i);
    assert_int_equal(capture_totals(log).given_up, 10 + 11);
    capture_close(&log);
    log = open_log(world);
    assert_int_equal(capture_totals(log).received, 60);
    assert_int_equal(capture_totals(log).given_up, 21);
    assert_int_equal(capture_totals(log).in_flight, 39);
    uint64_t next = publish_all(log, 1);
    capture_acked(log, 0, 1, next - 1, world->now);
    assert_int_equal(capture_totals(log).in_flight, 0);
    capture_close(&log);
}

static void a_full_log_gives_up_half_read_segments_too(void **state)
{
    struct world *world = *state;
    char big[2000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    world->options.max_bytes = 2 * 2 * (CAPTURE_HEADER + 1999);
    capture_t *log = open_log(world);
    struct capture_record record;
    append(world, log, big, 4);
    append(world, log, big, 4);
    assert_true(capture_read(log, &record));
    capture_sent(log, 0, 1);
    for (int i = 0; i < 3; i++)
        append(world, log, big, 4);
    assert_int_equal(world->loss_count, 1);
    assert_int_equal(world->losses[0].events, 7); /* one is in the broker's hands */
    assert_int_equal(capture_acked(log, 0, 1, 1, world->now), 1);
    assert_int_equal(publish_all(log, 2), 2 + 3 * 4);
    capture_close(&log);
}

static void a_full_log_drops_what_is_acknowledged_without_a_word(void **state)
{
    struct world *world = *state;
    char big[4000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    world->options.max_bytes = 3 * (CAPTURE_HEADER + 3999);
    capture_t *log = open_log(world);
    uint64_t next = 1;
    for (int i = 0; i < 20; i++) {
        append(world, log, big, 1);
        uint64_t end = publish_all(log, next);
        capture_acked(log, 0, next, end - 1, world->now);
        next = end;
    }
    assert_int_equal(world->loss_count, 0);
    capture_close(&log);
}

static int64_t told_free(void *owner)
{
    struct world *world = owner;
    return world->free_bytes;
}

static void a_log_takes_no_more_of_a_disk_than_it_leaves_free(void **state)
{
    struct world *world = *state;
    char big[4000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    const int64_t segment = CAPTURE_HEADER + 3999;
    world->options.free_bytes = told_free;
    world->free_bytes = 1 << 20;
    capture_t *log = open_log(world);
    for (int i = 0; i < 40; i++)
        append(world, log, big, 1);
    assert_int_equal(world->loss_count, 0);
    assert_int_equal(capture_limit(log), 1 << 20);
    world->free_bytes = 30 * segment; /* somebody else fills it */
    capture_tick(log, world->now);
    append(world, log, big, 1);
    assert_int_equal(world->loss_count, 11);
    assert_true(world->losses[0].overflow);
    assert_int_equal(capture_bytes(log), 30 * segment);
    world->free_bytes = 0; /* a full disk is no reason to throw away what has been kept */
    capture_tick(log, world->now);
    assert_int_equal(capture_limit(log), 16 * world->options.segment_bytes);
    append(world, log, big, 1);
    assert_true(capture_bytes(log) >= 15 * segment);
    capture_close(&log);
}

/* Turns until it is so; the thread has been given its work. */
static void turn_until(struct world *world, capture_t *log, int files)
{
    for (int turns = 0; folder_count(&world->folder, ".log", NULL) != files; turns++) {
        assert_true(turns < 1000000);
        capture_tick(log, world->now);
        sched_yield();
    }
}

static void a_thread_syncs_and_removes_while_the_log_goes_on(void **state)
{
    struct world *world = *state;
    char big[4000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    world->options.sync_aside = true;
    capture_t *log = open_log(world);
    for (int i = 0; i < 3; i++)
        append(world, log, big, 1);
    world->now += SECOND;
    capture_tick(log, world->now);
    assert_int_equal(capture_syncs(log), 3);
    append(world, log, big, 1); /* whatever the thread does */
    assert_int_equal(publish_all(log, 1), 5);
    capture_acked(log, 0, 1, 4, world->now++);
    capture_tick(log, world->now);
    capture_stored(log, world->now, world->now);
    assert_int_equal(capture_bytes(log), CAPTURE_HEADER + 3999); /* the one that is written to */
    turn_until(world, log, 1);
    assert_null(capture_unsynced(log));
    capture_close(&log);
    log = open_log(world); /* with the thread's work half done, too */
    append(world, log, big, 1);
    world->now += SECOND;
    capture_tick(log, world->now);
    capture_close(&log);
}

static void a_frame_larger_than_a_segment_is_kept_whole(void **state)
{
    struct world *world = *state;
    size_t size = 700 * 1024;
    char *big = malloc(size + 1);
    memset(big, 'y', size);
    big[size] = '\0';
    capture_t *log = open_log(world);
    append(world, log, "before", 1);
    append(world, log, big, 1);
    append(world, log, "after", 1);
    struct capture_record record;
    assert_true(capture_read(log, &record));
    capture_next(log);
    assert_true(capture_read(log, &record));
    assert_int_equal(record.bytes.size, size);
    assert_memory_equal(record.bytes.data, big, size);
    capture_next(log);
    assert_true(capture_read(log, &record));
    assert_memory_equal(record.bytes.data, "after", 5);
    capture_close(&log);
    free(big);
}

static void a_full_disk_takes_nothing_and_breaks_nothing(void **state)
{
    struct world *world = *state;
    char text[4096];
    capture_t *log = open_log(world);
    append(world, log, "before", 1);
    struct rlimit before, limit;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = CAPTURE_HEADER + 6 + 50; /* the next record is torn after its header */
    setrlimit(RLIMIT_FSIZE, &limit);
    struct capture_record record = { .received_us = 1, .events = 1,
        .bytes = slice_of("a frame of more than the few bytes that are left on this disk, so it cannot be taken now") };
    assert_int_equal(capture_append(log, &record, 1, world->now), -1);
    assert_true(strlen(capture_why(log)) > 0);
    setrlimit(RLIMIT_FSIZE, &before);
    append(world, log, "after", 1);
    assert_int_equal(read_all(log, text, sizeof text), 2);
    assert_string_equal(text, "before,after,");
    capture_close(&log);
}

/* The disk is full of the log itself, and the process that would empty it starts anew. */
static void a_log_that_fills_the_disk_is_opened_and_read(void **state)
{
    struct world *world = *state;
    char path[PATH_MAX];
    capture_t *log = open_log(world);
    append(world, log, "kept", 1);
    int64_t limit = capture_end(log) + (INT64_C(1) << 30); /* no less may have been promised */
    capture_close(&log);
    folder_file(&world->folder, "position.new", path);
    assert_int_equal(symlink("/dev/full", path), 0);
    log = open_log(world);
    struct capture_record record = { .received_us = world->now, .events = 1, .bytes = slice_of("new") };
    assert_int_equal(capture_append(log, &record, 1, world->now), -1);
    assert_string_equal(capture_why(log), "No space left on device");
    assert_int_equal(publish_all(log, 1), 2);
    capture_acked(log, 0, 1, 1, world->now);
    capture_tick(log, world->now + 1);
    capture_stored(log, world->now + 2, world->now + 2);
    assert_int_equal(capture_bytes(log), 0); /* it has made room */
    unlink(path);
    assert_true(append(world, log, "new", 1) >= limit - CAPTURE_HEADER - 4);
    capture_close(&log);
}

static void live_frames_are_published_from_memory_only_when_they_are_next(void **state)
{
    struct world *world = *state;
    capture_t *log = open_log(world);
    struct capture_record together[3] = {
        { .received_us = world->now, .session = 1, .events = 2, .bytes = slice_of("one") },
        { .received_us = world->now, .session = 1, .events = 1, .bytes = slice_of("two") },
        { .received_us = world->now, .session = 1, .events = 1, .bytes = slice_of("three") },
    };
    assert_true(capture_at_end(log));
    assert_int_equal(capture_append(log, together, 3, world->now), 0);
    assert_int_equal(together[1].place, together[0].place + 3 + CAPTURE_HEADER);
    assert_int_equal(together[2].place, together[1].place + 3 + CAPTURE_HEADER);
    assert_int_equal(capture_end(log), together[2].place + 5);
    assert_false(capture_at_end(log));
    assert_false(capture_is_next(log, &together[1])); /* the first one comes first */
    assert_true(capture_is_next(log, &together[0]));
    capture_sent(log, 0, 1);
    assert_false(capture_is_next(log, &together[0])); /* half sent: the rest is read back */
    capture_sent(log, 0, 2);
    capture_next(log);
    assert_true(capture_is_next(log, &together[1]));
    capture_sent(log, 0, 3);
    capture_next(log);
    struct capture_record record;
    assert_true(capture_read(log, &record));
    assert_memory_equal(record.bytes.data, "three", 5);
    capture_sent(log, 0, 4);
    capture_next(log);
    assert_true(capture_at_end(log));

    append(world, log, "b", 1);
    append(world, log, "c", 1);
    assert_true(capture_read(log, &record));
    assert_memory_equal(record.bytes.data, "b", 1);
    capture_close(&log);
}

/* --- packed ------------------------------------------------------------------------------ */

enum { FLOOD = 40, FRAME = 800 };

/* Frames as a flood has them: alike but for a few bytes. */
static size_t write_frame(char to[FRAME + 1], unsigned number)
{
    int size = snprintf(to, FRAME + 1, "{\"id\":2,\"type\":\"event\",\"number\":%u,\"x\":\"", number);
    size_t whole = FRAME - number * 7919 % 300;
    memset(to + size, 'a', whole - (size_t)size);
    to[whole] = '\0';
    return whole;
}

/* One read's frames, each with one event; the number of the first. */
static void append_flood(struct world *world, capture_t *log, unsigned first, struct capture_record records[FLOOD], char texts[FLOOD][FRAME + 1])
{
    for (unsigned i = 0; i < FLOOD; i++) {
        size_t size = write_frame(texts[i], first + i);
        records[i] = (struct capture_record){ .received_us = world->now + i, .session = 7, .first_id = 2, .last_id = 2, .events = 1,
            .bytes = { texts[i], size } };
    }
    assert_int_equal(capture_append(log, records, FLOOD, world->now), 0);
}

static void assert_frame(const struct capture_record *record, unsigned number)
{
    char text[FRAME + 1];
    assert_int_equal(record->bytes.size, write_frame(text, number));
    assert_memory_equal(record->bytes.data, text, record->bytes.size);
}

static void a_flood_takes_a_fraction_of_the_disk_and_is_read_as_it_came(void **state)
{
    struct world *world = *state;
    static char texts[FLOOD][FRAME + 1];
    struct capture_record records[FLOOD], record;
    int64_t places[3 * FLOOD], plain = 0;
    world->options.segment_bytes = 1 << 20;
    capture_t *log = open_log(world);
    append(world, log, "before", 1);
    for (unsigned turn = 0; turn < 3; turn++) {
        append_flood(world, log, turn * FLOOD, records, texts);
        for (unsigned i = 0; i < FLOOD; i++, plain += FRAME)
            places[turn * FLOOD + i] = records[i].place;
        append(world, log, "between", 1);
    }
    assert_true(capture_bytes(log) < plain / 5);
    for (int process = 0; process < 2; process++) {
        assert_true(capture_read(log, &record));
        assert_memory_equal(record.bytes.data, "before", 6);
        capture_next(log);
        for (unsigned number = 0; number < 3 * FLOOD; number++) {
            assert_true(capture_read(log, &record));
            assert_frame(&record, number);
            assert_int_equal(record.place, places[number]);
            assert_int_equal(record.session, 7);
            capture_next(log);
            if ((number + 1) % FLOOD)
                continue;
            assert_true(capture_read(log, &record));
            assert_memory_equal(record.bytes.data, "between", 7);
            capture_next(log);
        }
        if (process == 1) {
            assert_true(capture_read(log, &record));
            assert_memory_equal(record.bytes.data, "next", 4);
            capture_next(log);
        }
        assert_false(capture_read(log, &record));
        assert_true(capture_at_end(log));
        if (process == 0) { /* killed: the next one reads all of it again, and goes on behind it */
            capture_close(&log);
            log = open_log(world);
            assert_true(append(world, log, "next", 1) > places[3 * FLOOD - 1] + FRAME);
            assert_int_equal(capture_totals(log).received, 1 + 3 * FLOOD + 3 + 1);
        }
    }
    capture_close(&log);
}

static void who_falls_behind_in_a_flood_goes_on_in_the_middle_of_it(void **state)
{
    struct world *world = *state;
    static char texts[FLOOD][FRAME + 1];
    struct capture_record records[FLOOD], record;
    world->options.segment_bytes = 16 * 1024; /* two or three pieces a segment */
    capture_t *log = open_log(world);
    unsigned appended = 0, next = 0;
    for (unsigned turn = 0; turn < 60; turn++) {
        append_flood(world, log, appended, records, texts);
        bool was_next = next == appended;
        appended += FLOOD;
        for (unsigned i = 0; was_next && i < turn * 13 % (FLOOD + 1); i++, next++) { /* from memory, as far as there is room */
            assert_true(capture_is_next(log, &records[i]));
            capture_sent(log, 0, next);
            capture_next(log);
        }
        for (unsigned i = 0; i < turn * 37 % (3 * FLOOD) && next < appended; i++, next++) {
            assert_true(capture_read(log, &record));
            assert_frame(&record, next);
            capture_sent(log, 0, next);
            capture_next(log);
        }
    }
    for (; next < appended; next++) {
        assert_true(capture_read(log, &record));
        assert_frame(&record, next);
        capture_next(log);
    }
    assert_true(capture_at_end(log));
    assert_int_equal(world->loss_count, 0);
    capture_close(&log);
}

static void a_torn_or_rotten_piece_goes_whole_and_what_came_before_stays(void **state)
{
    struct world *world = *state;
    static char texts[FLOOD][FRAME + 1], whole[65536];
    struct capture_record records[FLOOD], record;
    char name[PATH_MAX];
    world->options.segment_bytes = 1 << 20;
    world->options.sync = CAPTURE_NEVER;
    capture_t *log = open_log(world);
    append_flood(world, log, 0, records, texts);
    int64_t first = capture_bytes(log);
    append_flood(world, log, FLOOD, records, texts);
    capture_close(&log);
    assert_int_equal(folder_count(&world->folder, ".log", name), 1);
    size_t size = folder_read(&world->folder, name, whole, sizeof whole);
    for (size_t at = 0; at < size; at += at < 16 || (at + 16 > (size_t)first && at < (size_t)first + 16) ? 1 : 97)
        for (int torn = 0; torn < 2; torn++) {
            whole[at] ^= 0x41;
            folder_write(&world->folder, name, whole, torn ? at : size);
            whole[at] ^= 0x41;
            log = open_log(world);
            unsigned count = 0, expected = at < (size_t)first ? 0 : FLOOD;
            for (; capture_read(log, &record); capture_next(log))
                assert_frame(&record, count++);
            assert_int_equal(count, expected);
            assert_int_equal(capture_torn(log), (torn ? (int64_t)at : (int64_t)size) - (expected ? first : 0));
            capture_close(&log);
            for (char other[PATH_MAX], path[PATH_MAX]; folder_count(&world->folder, ".log", other) > 0;) {
                folder_file(&world->folder, other, path);
                unlink(path);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checksum_is_crc32c_by_instruction_and_by_table),
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
        IN_A_FOLDER(records_come_back_in_order_with_everything_about_them),
        IN_A_FOLDER(a_record_remembers_where_it_is_from),
        IN_A_FOLDER(a_mark_is_settled_when_all_before_it_is_acknowledged),
        IN_A_FOLDER(segments_are_read_in_order_however_the_directory_lists_them),
        IN_A_FOLDER(what_was_not_acknowledged_is_read_again_after_a_kill),
        IN_A_FOLDER(a_tail_torn_at_any_byte_is_cut_and_never_misread),
        IN_A_FOLDER(a_byte_flipped_anywhere_is_found),
        IN_A_FOLDER(rot_in_an_older_segment_is_told_and_the_rest_is_read),
        IN_A_FOLDER(segments_of_which_nothing_can_be_read_are_told_with_what_is_around_them),
        IN_A_FOLDER(what_is_given_back_or_made_says_nothing_of_the_connection),
        IN_A_FOLDER(what_is_safe_begins_with_what_was_not_synced),
        IN_A_FOLDER(rot_in_the_newest_segment_is_told_up_to_what_came_last),
        IN_A_FOLDER(a_segment_goes_when_acknowledged_and_the_store_has_synced_since),
        IN_A_FOLDER(what_the_store_syncs_in_time_is_not_synced_here),
        IN_A_FOLDER(a_clock_set_back_holds_no_sync_up),
        IN_A_FOLDER(what_an_earlier_process_wrote_is_synced_before_long),
        IN_A_FOLDER(without_sync_a_segment_goes_at_once),
        IN_A_FOLDER(acknowledgements_in_any_order_of_two_topics_are_told_apart),
        IN_A_FOLDER(offsets_grow_after_everything_was_unlinked),
        IN_A_FOLDER(a_power_cut_that_takes_the_tail_does_not_bring_places_back),
        IN_A_FOLDER(a_full_log_gives_up_its_oldest_segment_and_says_what_was_in_it),
        IN_A_FOLDER(a_log_takes_no_more_of_a_disk_than_it_leaves_free),
        IN_A_FOLDER(a_thread_syncs_and_removes_while_the_log_goes_on),
        IN_A_FOLDER(a_full_log_gives_up_half_read_segments_too),
        IN_A_FOLDER(what_was_ever_appended_is_known_in_every_process),
        IN_A_FOLDER(a_tally_torn_by_a_kill_leaves_the_one_before_it),
        IN_A_FOLDER(the_tally_of_an_older_version_is_read),
        IN_A_FOLDER(what_is_given_up_is_known_in_every_process),
        IN_A_FOLDER(a_full_log_drops_what_is_acknowledged_without_a_word),
        IN_A_FOLDER(a_frame_larger_than_a_segment_is_kept_whole),
        IN_A_FOLDER(a_full_disk_takes_nothing_and_breaks_nothing),
        IN_A_FOLDER(a_log_that_fills_the_disk_is_opened_and_read),
        IN_A_FOLDER(live_frames_are_published_from_memory_only_when_they_are_next),
        IN_A_FOLDER(a_flood_takes_a_fraction_of_the_disk_and_is_read_as_it_came),
        IN_A_FOLDER(who_falls_behind_in_a_flood_goes_on_in_the_middle_of_it),
        IN_A_FOLDER(a_torn_or_rotten_piece_goes_whole_and_what_came_before_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

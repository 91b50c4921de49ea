/* fuzz_ingest.c - anything as WebSocket frames, as the answer to an upgrade, as a URL, as a file that ingest left on the disk.
 *
 * The first byte chooses. What must hold: however frames are cut the same comes out; history becomes events; a header found
 * stays found; a URL taken can be written and read again; a file that was mended is whole. */
#include "capture.h"
#include "endpoints.h"
#include "frames.h"
#include "history.h"
#include "ledger.h"
#include "snapshot.h"
#include "split.h"
#include "upgrade.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- frames ------------------------------------------------------------------------------ */

enum { MESSAGE_MAX = 4096 };
struct heard { uint64_t hash; size_t count, open; frames_t *frames; size_t stop_after; };

static void mix(struct heard *heard, int kind, struct slice bytes)
{
    const unsigned char *at = bytes.data;
    heard->hash = (heard->hash ^ (uint64_t)kind ^ bytes.size << 8) * UINT64_C(1099511628211);
    for (size_t i = 0; i < bytes.size; i++)
        heard->hash = (heard->hash ^ at[i]) * UINT64_C(1099511628211);
    if (++heard->count == heard->stop_after)
        frames_stop(heard->frames);
}

static void on_message(void *owner, struct slice message)
{
    struct heard *heard = owner;
    assert(message.size > 0 && message.size <= MESSAGE_MAX);
    heard->open++;
    mix(heard, 'm', message);
}

static void on_done(void *owner)
{
    struct heard *heard = owner;
    assert(heard->open > 0);
    heard->open = 0;
}

static void on_skipped(void *owner, uint64_t size)
{
    assert(size > MESSAGE_MAX);
    mix(owner, 's', (struct slice){ &size, sizeof size });
}

static void on_ping(void *owner, struct slice payload)
{
    assert(payload.size <= FRAME_CONTROL);
    mix(owner, 'p', payload);
}

static void on_closed(void *owner, int code)
{
    mix(owner, 'c', (struct slice){ &code, sizeof code });
}

/* In pieces of `piece` bytes, each an allocation of its own. */
static struct heard read_frames(const uint8_t *data, size_t size, size_t piece, size_t stop_after)
{
    static const struct frames_hooks hooks = { .message = on_message, .done = on_done, .skipped = on_skipped, .ping = on_ping, .closed = on_closed };
    struct heard heard = { .stop_after = stop_after };
    const char *why = NULL;
    heard.frames = frames_new(MESSAGE_MAX, &hooks, &heard);
    for (size_t at = 0; at < size && !why; at += piece) {
        size_t one = piece < size - at ? piece : size - at;
        char *copy = malloc(one);
        assert(copy);
        memcpy(copy, data + at, one);
        int bad = frames_take(heard.frames, (struct slice){ copy, one }, &why);
        assert(bad == (why ? -1 : 0) && heard.open == 0);
        free(copy);
    }
    frames_destroy(&heard.frames);
    heard.hash = (heard.hash ^ (why ? (uint64_t)why[2] : 0)) * 31;
    return heard;
}

static void try_frames(const uint8_t *data, size_t size)
{
    if (size < 2)
        return;
    size_t piece = 1 + data[0] % 64, stop_after = data[1] & 15; /* 0: never */
    struct heard whole = read_frames(data + 2, size - 2, size, stop_after);
    struct heard parts = read_frames(data + 2, size - 2, piece, stop_after);
    assert(whole.hash == parts.hash && whole.count == parts.count);
}

/* --- the upgrade and the URL ---------------------------------------------------------------- */

static void try_answer(const uint8_t *data, size_t size)
{
    static const char key[] = "dGhlIHNhbXBsZSBub25jZQ=="; /* RFC 6455, 1.3 */
    int found = 0, status;
    const char *why;
    if (size > UPGRADE_ANSWER)
        return;
    for (size_t known = 1; known <= size; known++) {
        char *copy = malloc(known);
        assert(copy);
        memcpy(copy, data, known);
        int header = upgrade_answer((struct slice){ copy, known }, key, &status, &why);
        free(copy);
        assert(header <= (int)known && status >= 0 && status <= 999);
        assert(found == 0 || header == found);
        found = header > 0 ? header : found;
        if (header < 0)
            return;
    }
}

static void try_url(const uint8_t *data, size_t size)
{
    struct endpoint endpoint, again;
    const char *why = NULL;
    char request[UPGRADE_REQUEST];
    if (endpoint_read(&endpoint, (struct slice){ data, size }, slice_of("token"), &why)) {
        assert(why);
        return;
    }
    assert(*endpoint.host && endpoint.port >= 1 && endpoint.port <= 65535 && endpoint.path[0] == '/');
    assert(!strstr(endpoint.url, "token") || memmem(data, size, "token", 5));
    for (const char *c = endpoint.path; *c; c++)
        assert(*c < 0 || *c > ' ');
    size_t length = upgrade_request(request, &endpoint, "key");
    size_t lines = 0;
    for (size_t i = 0; i < length; i++)
        lines += request[i] == '\n';
    assert(lines == 8);
    if (strlen(endpoint.path) <= 300 && strlen(endpoint.url) <= 512) {
        assert(endpoint_read(&again, slice_of(endpoint.url), slice_of("token"), &why) == 0);
        assert(strcmp(again.host, endpoint.host) == 0 && again.port == endpoint.port && again.tls == endpoint.tls);
        assert(strcmp(again.path, endpoint.path) == 0);
    }
}

/* --- files --------------------------------------------------------------------------------- */

static void write_file(const char *folder, const char *name, const void *bytes, size_t size)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
}

static void empty(const char *folder)
{
    char path[400];
    DIR *directory = opendir(folder);
    assert(directory);
    for (struct dirent *e; (e = readdir(directory)) != NULL;) {
        snprintf(path, sizeof path, "%s/%.255s", folder, e->d_name);
        (void)unlink(path);
    }
    closedir(directory);
    assert(rmdir(folder) == 0);
}

#define NOW (INT64_C(1767225600) * 1000000)

/* The gaps and the note in one input, apart by a NUL. */
static void try_ledger(const char *data, size_t size)
{
    char folder[] = "/dev/shm/fuzz-ledger-XXXXXX";
    const char *why = "", *damaged = NULL, *nul = memchr(data, '\0', size);
    size_t gaps = nul ? (size_t)(nul - data) : size;
    assert(mkdtemp(folder));
    write_file(folder, "gaps", data, gaps);
    if (nul)
        write_file(folder, "known", nul + 1, size - gaps - 1);
    struct ledger_options options = { .directory = folder, .boot_id = "boot",
        .captured_us = size % 2 ? NOW - 5000000 : 0, .is_torn = size % 3 == 0 };
    ledger_t *ledger = ledger_open(&options, NOW, &why, &damaged);
    assert(ledger);
    for (size_t i = 0; i < ledger_count(ledger); i++)
        assert(ledger_gap(ledger, i)->start_us >= 0);
    ledger_lost(ledger, NOW, GAP_CONNECTION_LOST);
    ledger_live(ledger, NOW + 1);
    assert(ledger_next_session(ledger) > 0 && !ledger_is_failing(ledger));
    size_t count = ledger_count(ledger);
    ledger_close(&ledger, false);
    ledger = ledger_open(&options, NOW + 2, &why, &damaged);
    assert(ledger && !damaged && ledger_count(ledger) >= count && ledger_count(ledger) <= count + 1);
    ledger_close(&ledger, true);
    empty(folder);
}

/* --- what history and get_states answer ------------------------------------------------------ */

static void on_row(void *owner, const struct history_row *row)
{
    made_change(owner, row->entity_id, row->has_old ? &row->old : NULL, &row->now);
}

/* Whatever is read can be made into a frame that is cut into as many events. */
static void try_history(const uint8_t *data, size_t size)
{
    const char *why = "";
    struct made made;
    struct items items = { 0 };
    history_t *history = history_new();
    split_t *split = split_new();
    made_init(&made);
    if (history_take(history, (struct slice){ data, size }, 1000, &why) == 0)
        while (history_step(history, 1 + size % 7, on_row, &made, &why) > 0)
            continue;
    if (made.events > 0) {
        split_items(split, made_frame(&made), MADE_ID, MADE_ID, &items);
        assert(items.count == made.events);
        for (size_t i = 0; i < items.count; i++)
            assert(!items.list[i].why && event_is_state_changed(items.list[i].bytes));
    }
    items_free(&items);
    made_free(&made);
    split_destroy(&split);
    history_destroy(&history);
}

static void try_states(const uint8_t *data, size_t size)
{
    const char *why = "";
    snapshot_t *snapshot = snapshot_new(size % 2 ? 0 : NOW);
    if (snapshot_take(snapshot, (struct slice){ data, size }, &why) == 0)
        while (snapshot_step(snapshot, 1 + size % 5, &why) > 0)
            continue;
    snapshot_stored(snapshot, slice_of("sensor.x"), (struct slice){ data, size }, 1);
    snapshot_close(snapshot);
    for (size_t i = 0; i < snapshot_count(snapshot); i++)
        assert(snapshot_find(snapshot, slice_of(snapshot_at(snapshot, i)->id)) != NULL);
    snapshot_destroy(&snapshot);
}

static void on_loss(void *owner, const struct capture_loss *loss)
{
    (void)owner, (void)loss;
}

static void try_position(const void *bytes, size_t size)
{
    char folder[] = "/dev/shm/fuzz-position-XXXXXX";
    const char *why = "";
    assert(mkdtemp(folder));
    write_file(folder, "position", bytes, size);
    struct capture_options options = { .directory = folder, .segment_bytes = 4096, .max_bytes = 1 << 20,
        .sync = CAPTURE_NEVER, .on_loss = on_loss };
    capture_t *log = capture_open(&options, NOW, &why);
    assert(log && capture_end(log) >= 0);
    struct capture_record record = { .received_us = NOW, .events = 1, .bytes = slice_of("a frame") };
    assert(capture_append(log, &record, 1, NOW) == 0);
    int64_t end = capture_end(log);
    capture_close(&log);
    log = capture_open(&options, NOW, &why);
    assert(log && capture_end(log) >= end && capture_torn(log) == 0);
    capture_close(&log);
    empty(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0]) {
    case 'A': try_answer(data + 1, size - 1); break;
    case 'U': try_url(data + 1, size - 1); break;
    case 'G': try_ledger((const char *)data + 1, size - 1); break;
    case 'H': try_history(data + 1, size - 1); break;
    case 'S': try_states(data + 1, size - 1); break;
    case 'P': try_position(data + 1, size - 1); break;
    default: try_frames(data + 1, size - 1); break;
    }
    return 0;
}

/* fuzz_ha_frames.c - anything as a frame of Home Assistant's, and anything as a segment of the capture log.
 *
 * The first byte chooses: a conversation (frames end with a newline), or a log file. */
#include "capture.h"
#include "piece.h"
#include "session.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct talk { int64_t last_id; };

static void on_send(void *owner, struct slice text)
{
    struct talk *talk = owner;
    if (text.size < 6 || memcmp(text.data, "{\"id\":", 6) != 0)
        return;
    int64_t id = strtoll((const char *)text.data + 6, NULL, 10);
    assert(id > talk->last_id);
    talk->last_id = id;
}

static void on_moved(void *owner, enum session_state state)
{
    (void)owner, (void)state;
}

static void on_frame(void *owner, struct slice frame, const struct items *items)
{
    (void)owner;
    for (size_t i = 0; i < items->count; i++) {
        const char *at = items->list[i].bytes.data, *begin = frame.data;
        assert(at >= begin && at + items->list[i].bytes.size <= begin + frame.size);
        assert(items->list[i].why || (items->list[i].bytes.size >= 2 && *at == '{'));
    }
}

static void on_answered(void *owner, int64_t tag, bool success, struct slice result, struct slice error)
{
    (void)owner, (void)tag, (void)success, (void)result, (void)error;
}

static void on_fenced(void *owner)
{
    (void)owner;
}

static void hear(session_t *session, const void *bytes, size_t size, int64_t now)
{
    char *exact = malloc(size ? size : 1);
    assert(exact);
    memcpy(exact, bytes, size);
    session_take(session, (struct slice){ exact, size }, now);
    free(exact);
}

static void converse(const char *at, size_t size, bool from_the_start)
{
    static const struct session_hooks hooks = { .send = on_send, .moved = on_moved, .frame = on_frame,
        .answered = on_answered, .fenced = on_fenced };
    static const char *const opening[] = { "{\"type\":\"auth_required\"}", "{\"type\":\"auth_ok\"}",
        "{\"id\":2,\"type\":\"result\",\"success\":true}" };
    struct talk talk = { 0 };
    split_t *split = split_new();
    struct session_options options = { .split = split, .token = slice_of("token"), .auth_us = 10, .subscribe_us = 60,
        .ping_us = 10, .silence_us = 30 };
    session_t *session = session_new(&options, &hooks, &talk, 0);
    for (size_t i = 0; i < 3 && !from_the_start; i++)
        hear(session, opening[i], strlen(opening[i]), 0);
    session_ask(session, slice_of("{\"type\":\"x\"}"), 1, 0);
    for (int64_t now = 1; size > 0; now++) {
        const char *end = memchr(at, '\n', size);
        size_t one = end ? (size_t)(end - at) : size;
        hear(session, at, one, now);
        session_tick(session, now);
        at += one + (end != NULL);
        size -= one + (end != NULL);
    }
    session_destroy(&session);
    split_destroy(&split);
}

static void on_loss(void *owner, const struct capture_loss *loss)
{
    (void)owner;
    assert(loss->events >= 0 && loss->bytes >= 0);
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

static void read_log(const void *bytes, size_t size)
{
    char folder[] = "/dev/shm/fuzz-capture-XXXXXX", path[128];
    const char *why;
    assert(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/%020d.log", folder, 0);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
    struct capture_options options = { .directory = folder, .segment_bytes = 4096, .max_bytes = 1 << 20,
        .sync = CAPTURE_NEVER, .on_loss = on_loss };
    capture_t *log = capture_open(&options, 1, &why);
    assert(log);
    struct capture_record record;
    while (capture_read(log, &record)) {
        assert(record.bytes.size > 0 && record.bytes.size <= (size > PACK_MOST ? size : PACK_MOST));
        capture_next(log);
    }
    assert(capture_bytes(log) <= (int64_t)size);
    capture_close(&log);
    empty(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] == 'L')
        read_log(data + 1, size - 1);
    else
        converse((const char *)data + 1, size - 1, data[0] == 'S');
    return 0;
}

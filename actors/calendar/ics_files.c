/* ics_files.c - iCalendar files, on this machine and elsewhere. */
#include "calendar.h"
#include "ics.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ADDRESS_MAX = 1000, READ_AGAIN_S = 6 * 3600 };

/* --- settings --------------------------------------------------------------------------------------- */

/* The next of the list; "" at its end. */
static struct slice next_entry(const char **rest)
{
    *rest += strspn(*rest, " \t\r\n");
    struct slice one = { *rest, strcspn(*rest, " \t\r\n") };
    *rest += one.size;
    return one;
}

static struct slice entry_at(const struct self *self, size_t index)
{
    const char *rest = self->config.ics;
    struct slice one = next_entry(&rest);
    while (index-- > 0)
        one = next_entry(&rest);
    return one;
}

static bool begins(struct slice text, const char *word)
{
    return text.size > strlen(word) && strncasecmp(text.data, word, strlen(word)) == 0;
}

static bool is_address(struct slice entry)
{
    return begins(entry, "http://") || begins(entry, "https://") || begins(entry, "webcal://") || begins(entry, "webcals://");
}

static bool is_file(struct slice entry)
{
    return begins(entry, "/") || begins(entry, "file:///");
}

int ics_settings(struct self *self, const char **key, const char **why)
{
    const char *rest = self->config.has_ics ? self->config.ics : "";
    *key = "ics";
    self->count = 0;
    for (struct slice one; (one = next_entry(&rest)).size; self->count++) {
        *why = "holds something that is neither an address (http://, https://, webcal://) nor a file with its whole path";
        if (!is_address(one) && !is_file(one))
            return -1;
        *why = "holds an address that is longer than 1000 characters";
        if (one.size > ADDRESS_MAX)
            return -1;
    }
    *why = self->count ? "names more than 16 files" : "ics cannot be asked without it";
    return self->count >= 1 && self->count <= ICS_MAX ? 0 : -1;
}

/* --- reading -------------------------------------------------------------------------------------------- */

struct taking { source_t *source; struct slice name; };

static void take_event(void *owner, const struct ics_event *event)
{
    const struct taking *self = owner;
    poll_take(self->source, &(struct found){ event->from_us, event->to_us, event->is_all_day, event->summary, event->location, event->description, self->name });
}

/* The calendar is known by its number, from 1: its address may be a secret. */
static int read_calendar(source_t *source, struct json_value root, struct fault *fault)
{
    struct self *self = source_self(source);
    char number[12];
    size_t odd = 0;
    snprintf(number, sizeof number, "%zu", self->next);
    struct taking taking = { source, slice_of(number) };
    if (!self->zone || ics_read(root.raw, self->zone, self->from_us, self->to_us, take_event, &taking, &odd, &fault->why))
        return -1;
    source_odd(source, odd);
    self->good++;
    return 0;
}

static int read_whole(const char *path, char *bytes, size_t room)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t size = 0;
    if (fd < 0)
        return -1;
    if (fstat(fd, &status) == 0 && !S_ISREG(status.st_mode))
        errno = EINVAL;
    else
        for (ssize_t got; size < room && (got = read(fd, bytes + size, room - size)) > 0; size += (size_t)got) {}
    close(fd);
    if (size == room)
        errno = EFBIG;
    return size > 0 && size < room ? (int)size : -1;
}

static void read_file(source_t *source, struct slice entry)
{
    char path[ADDRESS_MAX + 1];
    struct fault fault = { "", "" };
    bool has_scheme = begins(entry, "file:///");
    snprintf(path, sizeof path, "%.*s", (int)entry.size - (has_scheme ? 7 : 0), (const char *)entry.data + (has_scheme ? 7 : 0));
    char *bytes = malloc(ICS_BYTES);
    if (!bytes)
        abort();
    errno = ENODATA;
    int size = read_whole(path, bytes, ICS_BYTES);
    if (size < 0)
        actor_warn(source_actor(source), "calendar.ics: file %zu cannot be read: %s", source_self(source)->next, strerror(errno));
    else if (read_calendar(source, (struct json_value){ JSON_NOTHING, { bytes, (size_t)size } }, &fault))
        actor_warn(source_actor(source), "calendar.ics: file %zu %s", source_self(source)->next, fault.why);
    free(bytes);
    malloc_trim(0);
}

/* --- asking --------------------------------------------------------------------------------------------- */

static void ask(source_t *source, struct slice entry, struct fetch *fetch, char *path, size_t size)
{
    const struct self *self = source_self(source);
    size_t cut = begins(entry, "webcals") ? 7 : begins(entry, "webcal") ? 6 : 0;
    snprintf(path, size, "%s%.*s", cut ? "https" : "", (int)(entry.size - cut), (const char *)entry.data + cut);
    fetch->ca_file = self->config.has_ca_file ? self->config.ca_file : NULL;
    fetch->body_max = ICS_BYTES;
}

/* A single address: it may refuse, and may say that it has nothing new, except where the days to come would run out. */
static int ask_only(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    struct self *self = source_self(source);
    if (poll_begin(source))
        return 1;
    if (self->count != 1 || !is_address(entry_at(self, 0)))
        return 1;
    self->next = 1;
    fetch->is_unconditional = fetch->is_unconditional || source_now_us(source) - self->read_us > INT64_C(1000000) * READ_AGAIN_S;
    ask(source, entry_at(self, 0), fetch, path, size);
    return 0;
}

/* Of several each may fail. A file is read at once, which may take seconds. */
static int ask_each(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    struct self *self = source_self(source);
    if (!self->has_zone || self->next >= self->count)
        return 1;
    struct slice entry = entry_at(self, self->next++);
    if (is_address(entry)) {
        ask(source, entry, fetch, path, size);
        return 0;
    }
    read_file(source, entry);
    return STEP_AGAIN;
}

const struct step ics_steps[] = {
    { .ask = ask_only, .read = read_calendar, .is_text = true },
    { .ask = ask_each, .read = read_calendar, .is_text = true, .is_repeated = true, .may_fail = true },
    { .read = poll_end, .is_local = true },
    { .read = NULL },
};

/* watch.c - heartbeats, and those whose heartbeats are missing. */
#include "watch.h"

#include <assert.h>
#include <czmq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXPECTED_MAX = 256 };

struct watch { zhashx_t *processes; file_t *file; int64_t began_us; };

static void free_process(void **item_p)
{
    struct process *p = *item_p;
    free(p->counters);
    free(p);
    *item_p = NULL;
}

static struct process *expect(watch_t *self, const char *name, int64_t clock_us)
{
    struct process *p = calloc(1, sizeof *p);
    assert(p);
    snprintf(p->name, sizeof p->name, "%s", name);
    snprintf(p->actor, sizeof p->actor, "%.*s", (int)strcspn(name, "/"), name);
    p->heard_us = clock_us;
    zhashx_insert(self->processes, p->name, p);
    return p;
}

static void load(void *owner, const char *name)
{
    watch_t *self = owner;
    if (zhashx_size(self->processes) < EXPECTED_MAX)
        expect(self, name, self->began_us);
}

watch_t *watch_new(file_t *file, int64_t clock_us)
{
    watch_t *self = calloc(1, sizeof *self);
    assert(self);
    *self = (watch_t){ .processes = zhashx_new(), .file = file, .began_us = clock_us };
    assert(self->processes);
    zhashx_set_destructor(self->processes, free_process);
    if (file)
        file_load_names(file, load, self);
    return self;
}

void watch_destroy(watch_t **self_p)
{
    if (!*self_p)
        return;
    zhashx_destroy(&(*self_p)->processes);
    free(*self_p);
    *self_p = NULL;
}

static void note_start(struct process *p, const struct heartbeat *said, int64_t clock_us)
{
    if (p->is_heard && p->started_at != said->started_at) {
        memmove(p->starts_us + 1, p->starts_us, (STARTS - 1) * sizeof *p->starts_us);
        p->starts_us[0] = clock_us;
    }
    p->started_at = said->started_at;
}

/* What runs until it is done and then ends is expected only while it runs. */
static bool runs_once(const char *actor)
{
    return strcmp(actor, "import") == 0;
}

bool watch_hear(watch_t *self, const struct heartbeat *said, int64_t clock_us)
{
    char name[sizeof ((struct process *)0)->name];
    snprintf(name, sizeof name, "%s/%s", said->actor, said->instance);
    struct process *p = zhashx_lookup(self->processes, name);
    if (runs_once(said->actor) && strcmp(said->status, "stopping") == 0) {
        watch_forget(self, name);
        return true;
    }
    if (p && p->is_heard && p->said_at == said->at)
        return false;
    if (!p && zhashx_size(self->processes) >= EXPECTED_MAX)
        return false;
    if (!p) {
        p = expect(self, name, clock_us);
        if (self->file)
            file_save_name(self->file, name);
    }
    note_start(p, said, clock_us);
    p->is_heard = true;
    p->heard_us = clock_us;
    p->said_at = said->at;
    p->every_ms = said->every_ms;
    snprintf(p->status, sizeof p->status, "%s", said->status);
    snprintf(p->why, sizeof p->why, "%s", said->has_why ? said->why : "");
    free(p->counters);
    p->counters = said->has_counters ? strndup(said->counters.data, said->counters.size) : NULL;
    return true;
}

void watch_pardon(watch_t *self, int64_t clock_us)
{
    for (struct process *p = watch_first(self); p; p = watch_next(self))
        p->heard_us = clock_us;
}

void watch_forget(watch_t *self, const char *name)
{
    zhashx_delete(self->processes, name);
    if (self->file)
        file_drop_name(self->file, name);
}

struct process *watch_first(watch_t *self)
{
    return zhashx_first(self->processes);
}

struct process *watch_next(watch_t *self)
{
    return zhashx_next(self->processes);
}

size_t watch_count(const watch_t *self)
{
    return zhashx_size(self->processes);
}

int watch_starts(const struct process *p, int64_t since_us)
{
    int count = 0;
    while (count < STARTS && p->starts_us[count] && p->starts_us[count] > since_us)
        count++;
    return count;
}

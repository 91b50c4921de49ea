/* record.c - what an import leaves on the disk, below <data>/import/. */
#include "record.h"

#include "event_id.h"
#include "small_file.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

int record_open(struct record *self, actor_t *actor)
{
    self->progress[0] = '\0';
    return actor_path(actor, self->request, sizeof self->request, "import/request")
        || actor_path(actor, self->status, sizeof self->status, "import/status") ? -1 : 0;
}

int record_request(const struct record *self, char *path, size_t size)
{
    msgpack_sbuffer bytes;
    msgpack_sbuffer_init(&bytes);
    int rc = small_file_read(self->request, &bytes) == 0 && bytes.size > 0 && bytes.size < size ? 0 : -1;
    if (rc == 0) {
        memcpy(path, bytes.data, bytes.size);
        path[bytes.size] = '\0';
    }
    msgpack_sbuffer_destroy(&bytes);
    return rc;
}

/* Databases so far. */
static int64_t count_progress(const struct record *self)
{
    char directory[RECORD_PATH];
    int64_t count = 0;
    snprintf(directory, sizeof directory, "%s", self->progress);
    *strrchr(directory, '/') = '\0';
    DIR *all = opendir(directory);
    if (!all)
        return 0;
    for (const struct dirent *one; (one = readdir(all)) != NULL;) {
        const char *end = strrchr(one->d_name, '.');
        count += end && strcmp(end, ".progress") == 0;
    }
    closedir(all);
    return count;
}

void record_progress(struct record *self, actor_t *actor, const char *path, const char *began, struct import_progress *progress)
{
    char source[RECORD_PATH], name[64];
    msgpack_sbuffer pool;
    int size = snprintf(source, sizeof source, "%s\n%s", path, began);
    snprintf(name, sizeof name, "import/%016llx.progress", (unsigned long long)hash_bytes(HASH_SEED, (struct slice){ source, (size_t)size }));
    actor_path(actor, self->progress, sizeof self->progress, name);
    msgpack_sbuffer_init(&pool);
    bool known = small_file_load(self->progress, import_progress_schema(), progress, &pool) == 0 && strcmp(progress->source, source) == 0;
    msgpack_sbuffer_destroy(&pool);
    int64_t number = known ? progress->number : count_progress(self) & 0xffff;
    if (known && !progress->ended)
        return;
    schema_clear(import_progress_schema(), progress);
    SET_TEXT(progress, source, source, (size_t)size);
    SET(progress, number, number);
    SET(progress, started_at, actor_now_us(actor));
    SET(progress, ended, false);
}

void progress_reach(const struct import_progress *p, struct reach *reach)
{
    *reach = (struct reach){
        .id = { p->state_id, p->event_id, p->statistic_id, p->short_term_id },
        .rows = { p->states, p->events, p->statistics, p->short_term }, .skipped = p->skipped,
    };
}

void progress_set(struct import_progress *p, const struct reach *reach, const int64_t until[KINDS])
{
    SET(p, state_id, reach->id[STATES]);
    SET(p, event_id, reach->id[EVENTS]);
    SET(p, statistic_id, reach->id[STATISTICS]);
    SET(p, short_term_id, reach->id[SHORT_TERM]);
    SET(p, states, reach->rows[STATES]);
    SET(p, events, reach->rows[EVENTS]);
    SET(p, statistics, reach->rows[STATISTICS]);
    SET(p, short_term, reach->rows[SHORT_TERM]);
    SET(p, skipped, reach->skipped);
    SET(p, state_id_end, until[STATES]);
    SET(p, event_id_end, until[EVENTS]);
    SET(p, statistic_id_end, until[STATISTICS]);
    SET(p, short_term_id_end, until[SHORT_TERM]);
}

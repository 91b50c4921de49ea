/* log_sync.c - what the disk is to do for the capture log, and what is safe on it. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define ROLL_UNSYNCED (INT64_C(1) << 20) /* who writes to a file that is being synced waits with it */
#define TELL_US INT64_C(1000000)          /* between two tallies */
#define REST_US (10 * INT64_C(1000000))   /* after a flood */

/* Nobody knows how old it is once the clock has been set back. */
static bool is_overdue(const struct capture *self, const struct segment *segment, int64_t now_us)
{
    int64_t age_us = now_us - segment->unsafe_since_us;
    return !segment_is_safe(segment) && !acked_is_safe(self, segment) && (age_us < 0 || age_us >= self->options.sync_us);
}

static struct segment *find(const struct capture *self, int64_t start)
{
    for (struct segment *s = zlistx_first(self->segments); s; s = zlistx_next(self->segments))
        if (s->start == start)
            return s;
    return NULL;
}

static void take_synced(struct capture *self, const struct sync_job *job)
{
    self->unsynced = NULL;
    for (const struct sync_file *file = job->files; file < job->files + job->count; file++) {
        struct segment *segment = file->path ? NULL : find(self, file->tag); /* NULL: it has gone meanwhile */
        if (file->error)
            self->unsynced = strerror(file->error);
        if (file->error || !segment)
            continue;
        segment_synced(segment, file->bytes);
        segment->unsafe_since_us = job->at_us;
    }
}

static bool add_file(struct capture *self, struct sync_job *job, const struct segment *segment)
{
    int fd = segment_sync_fd(segment, self->directory);
    if (fd < 0) {
        self->unsynced = strerror(errno);
        return false;
    }
    if (!segment->is_named && job->directory_fd < 0 && (job->directory_fd = open(self->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        self->unsynced = strerror(errno);
        close(fd);
        return false;
    }
    job->files[job->count++] = (struct sync_file){ .fd = fd, .tag = segment->start, .bytes = segment->bytes };
    self->syncs++;
    return true;
}

/* What the disk is to do: first whatever makes room. */
static void work_on_disk(struct capture *self, int64_t now_us)
{
    struct sync_job job;
    if (syncer_done(self->syncer, false, &job))
        take_synced(self, &job);
    if (syncer_is_busy(self->syncer))
        return;
    job.at_us = now_us;
    job.directory_fd = -1;
    job.count = 0;
    if (self->also_fd >= 0)
        job.files[job.count++] = (struct sync_file){ .fd = self->also_fd, .tag = -1 };
    self->also_fd = -1;
    if (is_overdue(self, self->active, now_us) && self->active->bytes - self->active->safe_bytes >= ROLL_UNSYNCED)
        (void)log_roll(self, now_us); /* no room for a file: it is synced while it is written to */
    while (job.count < SYNC_FILES && zlistx_size(self->removed) > 0)
        job.files[job.count++] = (struct sync_file){ .path = zlistx_detach(self->removed, NULL) };
    for (struct segment *s = zlistx_first(self->segments); s && job.count < SYNC_FILES; s = zlistx_next(self->segments))
        if (self->options.sync != CAPTURE_NEVER && is_overdue(self, s, now_us) && !add_file(self, &job, s))
            break;
    if (job.count == 0 || (self->options.sync_aside && syncer_start(self->syncer, &job)))
        return;
    sync_run(&job);
    take_synced(self, &job);
}

void capture_sync_also(capture_t *self, int fd)
{
    if (self->also_fd < 0)
        self->also_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

int64_t capture_safe(const capture_t *self, int64_t now_us)
{
    int64_t safe_us = now_us;
    for (struct segment *s = zlistx_first(self->segments); s; s = zlistx_next(self->segments))
        if (!segment_is_safe(s) && s->unsafe_since_us < safe_us)
            safe_us = s->unsafe_since_us;
    return safe_us;
}

/* A file that is yet to be removed would be read again by the process after a kill. */
static void note_oldest(struct capture *self)
{
    const struct segment *first = zlistx_first(self->segments);
    if (zlistx_size(self->removed) == 0 && !syncer_is_busy(self->syncer))
        self->oldest = first->start;
}

void capture_tick(capture_t *self, int64_t now_us)
{
    if (self->has_untold && (now_us < self->told_us || now_us - self->told_us >= TELL_US)) {
        self->told_us = now_us;
        log_tell_tally(self);
    }
    acked_stamp(self, now_us);
    acked_unlink(self, now_us);
    log_set_limit(self);
    if (self->packed_us && (now_us < self->packed_us || now_us - self->packed_us >= REST_US)) {
        self->packed_us = 0;
        pack_rest(&self->pack);
    }
    work_on_disk(self, now_us);
    note_oldest(self);
}

int64_t capture_syncs(const capture_t *self)
{
    return self->syncs;
}

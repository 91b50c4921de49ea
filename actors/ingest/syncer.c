/* syncer.c - a thread that syncs and removes files, one job after the other. */
#include "syncer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum state { IDLE, GIVEN, ENDED, STOPPING };

struct syncer {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t thread;
    bool has_thread;
    bool is_busy;           /* the caller's view: started, its end not told */
    enum state state;
    struct sync_job job;    /* the thread's while GIVEN */
};

static void run(struct sync_file *file)
{
    if (file->path) {
        (void)unlink(file->path);
        free(file->path);
        return;
    }
    file->error = fdatasync(file->fd) ? errno : 0;
    close(file->fd);
}

int sync_names(int directory_fd)
{
    return fsync(directory_fd) && errno != EINVAL ? errno : 0;
}

/* All of it is on its way to the disk before the first is waited for: one commit of the file system's
 * journal, which writers wait for too, then does for all of them. */
void sync_run(struct sync_job *job)
{
    for (struct sync_file *file = job->files; file < job->files + job->count; file++)
        if (!file->path)
            (void)sync_file_range(file->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    for (struct sync_file *file = job->files; file < job->files + job->count; file++)
        run(file);
    if (job->directory_fd < 0)
        return;
    int error = sync_names(job->directory_fd);
    close(job->directory_fd);
    for (struct sync_file *file = job->files; error && file < job->files + job->count; file++)
        file->error = error; /* without its name a file is lost all the same */
}

static void *work(void *owner)
{
    struct syncer *self = owner;
    pthread_mutex_lock(&self->mutex);
    while (self->state != STOPPING) {
        if (self->state != GIVEN) {
            pthread_cond_wait(&self->changed, &self->mutex);
            continue;
        }
        pthread_mutex_unlock(&self->mutex);
        sync_run(&self->job);
        pthread_mutex_lock(&self->mutex);
        self->state = ENDED;
        pthread_cond_broadcast(&self->changed);
    }
    pthread_mutex_unlock(&self->mutex);
    return NULL;
}

static void set_state(struct syncer *self, enum state state)
{
    pthread_mutex_lock(&self->mutex);
    self->state = state;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}

syncer_t *syncer_new(void)
{
    struct syncer *self = calloc(1, sizeof *self);
    assert(self);
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->changed, NULL);
    return self;
}

void syncer_destroy(syncer_t **self_p)
{
    struct syncer *self = *self_p;
    struct sync_job job;
    if (!self)
        return;
    (void)syncer_done(self, true, &job);
    if (self->has_thread) {
        set_state(self, STOPPING);
        pthread_join(self->thread, NULL);
    }
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
    free(self);
    *self_p = NULL;
}

bool syncer_is_busy(const syncer_t *self)
{
    return self->is_busy;
}

bool syncer_start(syncer_t *self, const struct sync_job *job)
{
    assert(!self->is_busy && job->count <= SYNC_FILES);
    if (!self->has_thread && pthread_create(&self->thread, NULL, work, self) != 0)
        return false;
    self->has_thread = self->is_busy = true;
    self->job = *job;
    set_state(self, GIVEN);
    return true;
}

bool syncer_done(syncer_t *self, bool wait, struct sync_job *job)
{
    if (!self->is_busy)
        return false;
    pthread_mutex_lock(&self->mutex);
    while (wait && self->state == GIVEN)
        pthread_cond_wait(&self->changed, &self->mutex);
    bool has_ended = self->state == ENDED;
    pthread_mutex_unlock(&self->mutex);
    if (!has_ended)
        return false;
    *job = self->job;
    self->is_busy = false;
    return true;
}

/* syncer.h - files are synced and removed in a thread of their own, so that no disk keeps a socket waiting.
 *
 * One job at a time. The thread is made for the first one, and touches nothing but the job's
 * descriptors and paths, which it closes and frees. */
#ifndef SYNCER_H
#define SYNCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SYNC_FILES = 64 };

struct sync_file {
    int fd;                 /* to be synced */
    char *path;             /* or, not NULL, to be removed */
    int64_t tag, bytes;     /* the caller's */
    int error;              /* errno of the sync; 0: all that was written before is on the disk */
};

struct sync_job {
    int64_t at_us;          /* the caller's: when it was made */
    int directory_fd;       /* synced after the files; -1: none */
    size_t count;
    struct sync_file files[SYNC_FILES];
};

/* A directory, so that the names in it are on the disk: 0, or errno. File systems that have no such thing say EINVAL: they
 * are taken as they are. */
int sync_names(int directory_fd);

/* In this thread, now. */
void sync_run(struct sync_job *);

typedef struct syncer syncer_t;
syncer_t *syncer_new(void);
void syncer_destroy(syncer_t **);   /* waits for the job */

bool syncer_is_busy(const syncer_t *);
/* False: no thread can be had, the job is still the caller's. Only when it is not busy. */
bool syncer_start(syncer_t *, const struct sync_job *);
/* The job has ended, told once. `wait`: for as long as that takes. */
bool syncer_done(syncer_t *, bool wait, struct sync_job *);

#endif

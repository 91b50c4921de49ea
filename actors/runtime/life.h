/* life.h - what a process owes to its supervisor and to its data directory. Used by the
 * runtime's main and by the broker's. */
#ifndef LIFE_H
#define LIFE_H

#include <stdbool.h>
#include <stddef.h>

/* OFF: its settings say that there is nothing to do; started again when they change. */
enum { EXIT_SETTINGS = 100, EXIT_OFF = 101, EXIT_WORLD = 111 };

/* Under a supervisor that gave us NOTIFY_FD, get SIGTERM when it dies, so that the one that
 * takes its place never runs a second one of us. -1: it is dead already; exit 111. */
int life_follow_supervisor(void);

/* Blocks SIGTERM, SIGINT and SIGHUP and returns a descriptor that becomes readable when one
 * comes; ignores SIGPIPE; keeps CZMQ from installing handlers of its own (call before its
 * first use). life_signal returns the next one's number, 0 if there is none. */
int life_signals(void);
int life_signal(int fd);

/* Tell the supervisor: a newline on NOTIFY_FD (which is closed), READY=1 on NOTIFY_SOCKET. */
void life_ready(void);
void life_stopping(void);
void life_status(const char *text);  /* NOTIFY_SOCKET alone */

/* The lock <data>/run/<actor>.<instance>.lock. Returns a descriptor to keep open, or -1 with
 * `why` naming the holder: exit 111, so that the supervisor tries again when an orphan has died. */
int life_lock(const char *data, const char *actor, const char *instance, char *why, size_t size);

/* data/name into `to`, and the directories above it made (0700). 0, or -1: it does not fit, or errno. */
int life_path(const char *data, char *to, size_t size, const char *name);

#endif

/* child.h - a program of ours that does one thing and ends: what only now and then needs a large library, or lets strangers in.
 *
 * It lies beside our own, and is started with one socket as its standard input and output, and nothing else of ours but standard error. It
 * hears no secret by arguments or environment. That it has ended is the socket's end. */
#ifndef CHILD_H
#define CHILD_H

#include <sys/types.h>

struct child { pid_t pid; int fd; };   /* pid 0: none. The socket is ours, closed by child_end() */

/* 0, or an errno: there is none then. A program with a slash is a path (a test's). */
int child_start(struct child *, const char *program);

/* Kills it, where it has not ended, and forgets it: its status as waitpid() tells it. */
int child_end(struct child *);

#endif

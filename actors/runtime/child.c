/* child.c - a program of ours that does one thing and ends. */
#include "child.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* What it may know of our environment: how to reach the internet and whom to trust, and whose it is. Nothing with a key. */
static bool is_for_child(const char *variable)
{
    static const char *const names[] = { "http_proxy=", "https_proxy=", "HTTPS_PROXY=", "all_proxy=", "ALL_PROXY=", "no_proxy=", "NO_PROXY=",
        "SSL_CERT_FILE=", "SSL_CERT_DIR=", "OPENSSL_CONF=", "RES_OPTIONS=", "LOCALDOMAIN=", "HOSTALIASES=", "TZ=", "LD_LIBRARY_PATH=", "LD_PRELOAD=",
        "CLOCK_FILE=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LLVM_PROFILE_FILE=", "HA_INGESTOR_DATA=" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(variable, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* It lies where we lie. -1: it is not known where that is. */
static int find_program(const char *program, char *path, size_t size)
{
    if (strchr(program, '/'))
        return snprintf(path, size, "%s", program) < (int)size ? 0 : -1;
    ssize_t n = readlink("/proc/self/exe", path, size);
    const char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;
    size_t folder = slash ? (size_t)(slash + 1 - path) : 0;
    return slash && snprintf(path + folder, size - folder, "%s", program) < (int)(size - folder) ? 0 : -1;
}

/* 0, or an errno. The socket is all of ours that it gets, beside standard error; no signal is blocked or ignored for it. */
static int spawn(const char *program, int fd, pid_t *child)
{
    char path[4096], *arguments[] = { path, NULL }, *environment[32];
    size_t count = 0;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    if (find_program(program, path, sizeof path))
        return ENOENT;
    for (char **one = environ; *one && count + 1 < sizeof environment / sizeof *environment; one++)
        if (is_for_child(*one))
            environment[count++] = *one;
    environment[count] = NULL;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int rc = posix_spawn(child, path, &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return rc;
}

int child_start(struct child *self, const char *program)
{
    int pair[2];
    *self = (struct child){ 0, -1 };
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return errno;
    int rc = spawn(program, pair[1], &self->pid);
    close(pair[1]);
    if (rc) {
        self->pid = 0;
        close(pair[0]);
        return rc;
    }
    self->fd = pair[0];
    return 0;
}

int child_end(struct child *self)
{
    int status = 0;
    if (!self->pid)
        return 0;
    kill(self->pid, SIGKILL);
    while (waitpid(self->pid, &status, 0) < 0 && errno == EINTR) {}
    close(self->fd);
    *self = (struct child){ 0, -1 };
    return status;
}

/* life.c - what a process owes to its supervisor and to its data directory. */
#include "life.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int notify_fd(void)
{
    const char *text = getenv("NOTIFY_FD");
    char *end;
    long fd = text ? strtol(text, &end, 10) : -1;
    return fd > 2 && fd < 1024 && !*end ? (int)fd : -1;
}

int life_follow_supervisor(void)
{
    pid_t parent = getppid();
    struct pollfd notify = { .fd = notify_fd() };
    if (notify.fd < 0)
        return 0;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    fcntl(notify.fd, F_SETFD, FD_CLOEXEC);
    /* It may have died before the call above: then we have another parent, or nobody reads. */
    if (getppid() != parent || (poll(&notify, 1, 0) > 0 && notify.revents & POLLERR))
        return -1;
    return 0;
}

int life_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    setenv("ZSYS_SIGHANDLER", "false", 1);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int life_signal(int fd)
{
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof info) == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

/* The protocol of sd_notify(3): one datagram of KEY=VALUE lines. */
static void notify(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t size = path ? strlen(path) : 0;
    if (size == 0 || size >= sizeof address.sun_path || !strchr("/@", *path))
        return;
    memcpy(address.sun_path, path, size);
    if (*path == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    ssize_t n = sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address, length);
    (void)n;  /* a supervisor that does not listen is none of our trouble */
    close(fd);
}

void life_ready(void)
{
    int fd = notify_fd();
    if (fd >= 0) {
        ssize_t n = write(fd, "\n", 1);
        (void)n;
        close(fd);
    }
    notify("READY=1");
}

void life_stopping(void) { notify("STOPPING=1"); }

void life_status(const char *text)
{
    char line[300];
    snprintf(line, sizeof line, "STATUS=%s", text);
    for (char *c = line; *c; c++)
        if (*c == '\n')
            *c = ' ';
    notify(line);
}

/* A file that is synced is lost with the power all the same where the name of its directory is not on the disk. */
static int make_directory(const char *path)
{
    if (mkdir(path, 0700))
        return -1;
    const char *end = strrchr(path, '/');
    char *parent = strndup(path, end > path ? (size_t)(end - path) : 1);
    assert(parent);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(parent);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    return 0;
}

static int make_directories(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int rc = make_directory(path);
        *slash = '/';
        if (rc && errno != EEXIST)
            return -1;
    }
    return 0;
}

int life_path(const char *data, char *to, size_t size, const char *name)
{
    int length = snprintf(to, size, "%s/%s", data, name);
    if (length < 0 || (size_t)length >= size) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return make_directories(to);
}

static void name_holder(int fd, const char *path, char *why, size_t size)
{
    char pid[24] = "";
    ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
    pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
    snprintf(why, size, "another process (pid %s) holds %s", *pid ? pid : "unknown", path);
}

int life_lock(const char *data, const char *actor, const char *instance, char *why, size_t size)
{
    char name[120], path[640];
    snprintf(name, sizeof name, "run/%s.%s.lock", actor, instance);
    int fd = life_path(data, path, sizeof path, name) ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        snprintf(why, size, "cannot open the lock %s/%s: %s", data, name, strerror(errno));
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        name_holder(fd, path, why, size);
        close(fd);
        return -1;
    }
    char pid[24];
    int length = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)length, 0) < 0)
        errno = 0;  /* the pid is only for the error text: a full disk does not keep us from starting */
    return fd;
}

/* disk.c - LD_PRELOAD: writes down, in order and across processes, whatever changes the files of one directory.
 *
 *   DISK_ROOT     the data directory, an absolute path; below it run/, logs/ and *-shm are left out:
 *                 sockets and locks, log lines, and shared memory that SQLite makes anew
 *   DISK_TRACE    the file the records are appended to; a lock on it orders them
 *   DISK_SYNC_US  a sync takes a random time up to this and nothing is really synced; not set: it is
 *   DISK_BOOT_ID  a file to be read in place of /proc/sys/kernel/random/boot_id
 *
 * A record is written under the lock together with what it tells of, so the order of records is
 * that of the operations; a sync has two, its begin and its end, and holds nobody up. What is
 * not modelled (a shared writable mapping, copy_file_range, a second name of a descriptor ...)
 * ends the process with a line that says so. Whatever goes round the functions below shows in
 * that the files are not what the records make of them: power.py compares both.
 *
 * tests/suite/disk.py reads the records: layout in struct record. */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define MAGIC 0x44495343u
enum { FDS = 4096, FILES = 64 };
enum operation { BIND = 1, CREATE, WRITE, SIZE, SYNC_BEGIN, SYNC_END, RENAME, UNLINK, MAKE_DIRECTORY, REMOVE_DIRECTORY };

/* Little-endian, no padding; then `bytes` bytes: data, or a path below the root, two with a NUL between. */
struct record {
    uint32_t magic, operation, process, bytes;
    uint64_t file;      /* inode; of a sync also of a directory */
    int64_t at;         /* offset, size, or the number of a sync */
    int64_t real_us, monotonic_us;
};

static struct {
    char root[PATH_MAX];
    size_t root_size;
    int trace;          /* -1: nothing is written down */
    long sync_us;
    uint64_t syncs;
    pthread_mutex_t mutex;
    uint64_t file[FDS]; /* inode of a descriptor that is followed; 0: it is not */
    struct { FILE *stream; int fd; } streams[FILES];
} disk = { .trace = -1, .mutex = PTHREAD_MUTEX_INITIALIZER };

/* --- records --------------------------------------------------------------------------- */

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (!function)
        abort();
    return function;
}

static void refuse(const char *what)
{
    dprintf(STDERR_FILENO, "disk.so: %s of a followed file is not modelled\n", what);
    abort();
}

static int64_t now_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void lock(void)
{
    pthread_mutex_lock(&disk.mutex);
    while (flock(disk.trace, LOCK_EX) && errno == EINTR)
        ;
}

static void unlock(void)
{
    int kept = errno;
    flock(disk.trace, LOCK_UN);
    pthread_mutex_unlock(&disk.mutex);
    errno = kept;
}

static void note(enum operation operation, uint64_t file, int64_t at, const void *data, size_t bytes)
{
    int kept = errno;
    struct record record = { MAGIC, operation, (uint32_t)getpid(), (uint32_t)bytes, file, at,
        now_us(CLOCK_REALTIME), now_us(CLOCK_MONOTONIC) };
    struct iovec parts[] = { { &record, sizeof record }, { (void *)(uintptr_t)data, bytes } };
    if (REAL(writev)(disk.trace, parts, 2) != (ssize_t)(sizeof record + bytes))
        abort();
    errno = kept;
}

/* The path below the root, if it is one of those that are followed; else NULL. */
static const char *below(int directory, const char *path, char to[PATH_MAX])
{
    char link[64], base[PATH_MAX] = "";
    int kept = errno;
    if (disk.trace < 0 || !path)
        return NULL;
    if (*path != '/') {
        snprintf(link, sizeof link, directory == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", directory);
        ssize_t size = readlink(link, base, sizeof base - 1);
        base[size > 0 ? size : 0] = '\0';
    }
    int size = snprintf(to, PATH_MAX, "%s%s%s", base, *base ? "/" : "", path);
    errno = kept;
    if (size >= PATH_MAX || strncmp(to, disk.root, disk.root_size) != 0 || (to[disk.root_size] != '/' && to[disk.root_size]))
        return NULL;
    const char *name = to + disk.root_size + (to[disk.root_size] == '/');
    size_t length = strlen(name);
    if (strncmp(name, "run/", 4) == 0 || strcmp(name, "run") == 0 || strncmp(name, "logs/", 5) == 0 || strcmp(name, "logs") == 0
        || (length > 4 && strcmp(name + length - 4, "-shm") == 0))
        return NULL;
    return name;
}

static uint64_t followed(int fd)
{
    return fd >= 0 && fd < FDS ? disk.file[fd] : 0;
}

__attribute__((constructor)) static void begin(void)
{
    const char *root = getenv("DISK_ROOT"), *trace = getenv("DISK_TRACE"), *sync = getenv("DISK_SYNC_US");
    if (!root || !trace)
        return;
    snprintf(disk.root, sizeof disk.root, "%s", root);
    disk.root_size = strlen(disk.root);
    disk.sync_us = sync ? atol(sync) : -1;
    int fd = REAL(open)(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    disk.trace = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 1000);
    if (disk.trace < 0)
        disk.trace = fd;
    else
        REAL(close)(fd);
    if (disk.trace < 0)
        refuse("a trace that cannot be opened");
}

/* --- opening --------------------------------------------------------------------------- */

static bool is_boot_id(const char *path)
{
    return path && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0 && getenv("DISK_BOOT_ID");
}

static int open_followed(int directory, const char *path, int flags, mode_t mode)
{
    char whole[PATH_MAX];
    if (is_boot_id(path))
        path = getenv("DISK_BOOT_ID");
    const char *name = below(directory, path, whole);
    if (!name)
        return REAL(openat)(directory, path, flags, mode);
    struct stat status;
    lock();
    bool was_there = fstatat(directory, path, &status, 0) == 0;
    int64_t size = was_there ? status.st_size : 0;
    int fd = REAL(openat)(directory, path, flags, mode);
    bool is_directory = fd >= 0 && fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
    if (fd >= 0 && (is_directory || (flags & O_ACCMODE) != O_RDONLY || S_ISREG(status.st_mode))) {
        if (fd >= FDS)
            refuse("a high descriptor");
        disk.file[fd] = status.st_ino;
        note(was_there ? BIND : CREATE, status.st_ino, is_directory, name, strlen(name));
        if (was_there && flags & O_TRUNC && size > 0)
            note(SIZE, status.st_ino, 0, NULL, 0);
    }
    unlock();
    return fd;
}

#define MODE(flags)                                                         \
    mode_t mode = 0;                                                        \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                                \
        va_list list;                                                       \
        va_start(list, flags);                                              \
        mode = va_arg(list, mode_t);                                        \
        va_end(list);                                                       \
    }

EXPORT int open(const char *path, int flags, ...) { MODE(flags) return open_followed(AT_FDCWD, path, flags, mode); }
EXPORT int open64(const char *path, int flags, ...) { MODE(flags) return open_followed(AT_FDCWD, path, flags, mode); }
EXPORT int openat(int directory, const char *path, int flags, ...);
EXPORT int openat64(int directory, const char *path, int flags, ...) { MODE(flags) return open_followed(directory, path, flags, mode); }
EXPORT int openat(int directory, const char *path, int flags, ...) { MODE(flags) return open_followed(directory, path, flags, mode); }
EXPORT int creat(const char *path, mode_t mode) { return open_followed(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode); }
EXPORT int creat64(const char *path, mode_t mode) { return open_followed(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode); }

EXPORT int close(int fd)
{
    if (followed(fd))
        disk.file[fd] = 0;
    return REAL(close)(fd);
}

/* A second descriptor of a file that is followed is followed as well. */
static int control(int fd, int command, void *argument)
{
    int result = REAL(fcntl)(fd, command, argument);
    if (followed(fd) && (command == F_DUPFD || command == F_DUPFD_CLOEXEC) && result >= 0) {
        if (result >= FDS)
            refuse("a high descriptor");
        disk.file[result] = disk.file[fd];
    }
    return result;
}

#define ARGUMENT(last)                          \
    va_list list;                               \
    va_start(list, last);                       \
    void *argument = va_arg(list, void *);      \
    va_end(list);

EXPORT int fcntl(int fd, int command, ...) { ARGUMENT(command) return control(fd, command, argument); }
EXPORT int fcntl64(int fd, int command, ...) { ARGUMENT(command) return control(fd, command, argument); }

/* --- streams: glibc's own would write without passing by here ----------------------------- */

static ssize_t stream_write(void *cookie, const char *data, size_t size)
{
    ssize_t written = write((int)(intptr_t)cookie, data, size);
    return written < 0 ? 0 : written;
}

static ssize_t stream_read(void *cookie, char *data, size_t size) { return read((int)(intptr_t)cookie, data, size); }

static int stream_close(void *cookie)
{
    for (int i = 0; i < FILES; i++)
        if (disk.streams[i].stream && disk.streams[i].fd == (int)(intptr_t)cookie)
            disk.streams[i].stream = NULL;
    return close((int)(intptr_t)cookie);
}

static FILE *open_stream(const char *path, const char *mode)
{
    char whole[PATH_MAX];
    if (is_boot_id(path))
        path = getenv("DISK_BOOT_ID");
    if (!below(AT_FDCWD, path, whole) || (*mode == 'r' && !strchr(mode, '+')))
        return REAL(fopen)(path, mode);
    if (*mode != 'w' || strchr(mode, '+'))
        refuse("this mode of fopen");
    int fd = open_followed(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | (strchr(mode, 'e') ? O_CLOEXEC : 0), 0666);
    if (fd < 0)
        return NULL;
    FILE *stream = fopencookie((void *)(intptr_t)fd, "w",
        (cookie_io_functions_t){ .read = stream_read, .write = stream_write, .close = stream_close });
    for (int i = 0; i < FILES; i++)
        if (!disk.streams[i].stream) {
            disk.streams[i].stream = stream;
            disk.streams[i].fd = fd;
            return stream;
        }
    refuse("the 65th stream");
    return NULL;
}

EXPORT FILE *fopen(const char *path, const char *mode) { return open_stream(path, mode); }
EXPORT FILE *fopen64(const char *path, const char *mode) { return open_stream(path, mode); }

EXPORT int fileno(FILE *stream)
{
    for (int i = 0; i < FILES; i++)
        if (disk.streams[i].stream == stream)
            return disk.streams[i].fd;
    return REAL(fileno)(stream);
}

EXPORT FILE *fdopen(int fd, const char *mode)
{
    if (followed(fd))
        refuse("fdopen");
    return REAL(fdopen)(fd, mode);
}

EXPORT FILE *freopen(const char *path, const char *mode, FILE *stream)
{
    char whole[PATH_MAX];
    if (below(AT_FDCWD, path, whole))
        refuse("freopen");
    return REAL(freopen)(path, mode, stream);
}

/* --- writing --------------------------------------------------------------------------- */

/* at < 0: where the descriptor stands (with O_APPEND: at the end). */
static ssize_t write_followed(int fd, const struct iovec *parts, int count, off_t at)
{
    lock();
    ssize_t written = at < 0 ? REAL(writev)(fd, parts, count) : REAL(pwritev)(fd, parts, count, at);
    if (written > 0) {
        char *data = malloc((size_t)written), *to = data;
        size_t left = (size_t)written;
        for (int i = 0; left > 0; i++) {
            size_t size = parts[i].iov_len < left ? parts[i].iov_len : left;
            memcpy(to, parts[i].iov_base, size);
            to += size, left -= size;
        }
        note(WRITE, disk.file[fd], at < 0 ? lseek(fd, 0, SEEK_CUR) - written : at, data, (size_t)written);
        free(data);
    }
    unlock();
    return written;
}

static ssize_t write_one(int fd, const void *data, size_t size, off_t at)
{
    return write_followed(fd, &(struct iovec){ (void *)(uintptr_t)data, size }, 1, at);
}

EXPORT ssize_t write(int fd, const void *data, size_t size) { return followed(fd) ? write_one(fd, data, size, -1) : REAL(write)(fd, data, size); }
EXPORT ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return followed(fd) ? write_one(fd, data, size, at) : REAL(pwrite)(fd, data, size, at); }
EXPORT ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { return pwrite(fd, data, size, at); }
EXPORT ssize_t writev(int fd, const struct iovec *parts, int count) { return followed(fd) ? write_followed(fd, parts, count, -1) : REAL(writev)(fd, parts, count); }
EXPORT ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return followed(fd) ? write_followed(fd, parts, count, at) : REAL(pwritev)(fd, parts, count, at); }
EXPORT ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) { return pwritev(fd, parts, count, at); }

static int set_size(int fd, off_t size)
{
    lock();
    int rc = REAL(ftruncate)(fd, size);
    if (rc == 0)
        note(SIZE, disk.file[fd], size, NULL, 0);
    unlock();
    return rc;
}

EXPORT int ftruncate(int fd, off_t size) { return followed(fd) ? set_size(fd, size) : REAL(ftruncate)(fd, size); }
EXPORT int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

EXPORT int truncate(const char *path, off_t size)
{
    char whole[PATH_MAX];
    if (!below(AT_FDCWD, path, whole))
        return REAL(truncate)(path, size);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : ftruncate(fd, size);
    if (fd >= 0)
        close(fd);
    return rc;
}
EXPORT int truncate64(const char *path, off64_t size) { return truncate(path, size); }

/* --- syncing --------------------------------------------------------------------------- */

static int sync_followed(int fd, int (*sync)(int))
{
    lock();
    int64_t number = (int64_t)getpid() << 32 | (int64_t)(++disk.syncs & UINT32_MAX);
    uint64_t file = disk.file[fd];
    note(SYNC_BEGIN, file, number, NULL, 0);
    unlock();
    int rc = 0;
    if (disk.sync_us < 0)
        rc = sync(fd);
    else if (disk.sync_us > 0)
        usleep((useconds_t)(random() % disk.sync_us));
    lock();
    if (rc == 0)
        note(SYNC_END, file, number, NULL, 0);
    unlock();
    return rc;
}

EXPORT int fsync(int fd) { return followed(fd) ? sync_followed(fd, REAL(fsync)) : REAL(fsync)(fd); }
EXPORT int fdatasync(int fd) { return followed(fd) ? sync_followed(fd, REAL(fdatasync)) : REAL(fdatasync)(fd); }

/* It promises nothing (no flush of the disk's own memory), so nothing is noted. */
EXPORT int sync_file_range(int fd, off64_t at, off64_t bytes, unsigned flags) { return REAL(sync_file_range)(fd, at, bytes, flags); }

/* --- names ----------------------------------------------------------------------------- */

EXPORT int renameat(int from_directory, const char *from, int to_directory, const char *to)
{
    char one[PATH_MAX], other[PATH_MAX], both[2 * PATH_MAX];
    const char *old = below(from_directory, from, one), *new = below(to_directory, to, other);
    if (!old && !new)
        return REAL(renameat)(from_directory, from, to_directory, to);
    if (!old || !new)
        refuse("rename across the border");
    lock();
    int rc = REAL(renameat)(from_directory, from, to_directory, to);
    if (rc == 0)
        note(RENAME, 0, 0, both, (size_t)snprintf(both, sizeof both, "%s%c%s", old, '\0', new));
    unlock();
    return rc;
}
EXPORT int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

EXPORT int unlinkat(int directory, const char *path, int flags)
{
    char whole[PATH_MAX];
    const char *name = below(directory, path, whole);
    struct stat status;
    if (!name || (fstatat(directory, path, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(status.st_mode)))
        return REAL(unlinkat)(directory, path, flags);
    lock();
    int rc = REAL(unlinkat)(directory, path, flags);
    if (rc == 0)
        note(flags & AT_REMOVEDIR ? REMOVE_DIRECTORY : UNLINK, 0, 0, name, strlen(name));
    unlock();
    return rc;
}
EXPORT int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
EXPORT int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

EXPORT int remove(const char *path)
{
    int rc = unlink(path);
    return rc && (errno == EISDIR || errno == EPERM) ? rmdir(path) : rc;
}

EXPORT int mkdirat(int directory, const char *path, mode_t mode)
{
    char whole[PATH_MAX];
    const char *name = below(directory, path, whole);
    if (!name)
        return REAL(mkdirat)(directory, path, mode);
    lock();
    int rc = REAL(mkdirat)(directory, path, mode);
    if (rc == 0)
        note(MAKE_DIRECTORY, 0, 0, name, strlen(name));
    unlock();
    return rc;
}
EXPORT int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* --- not modelled ---------------------------------------------------------------------- */

static void *map(void *address, size_t size, int protection, int flags, int fd, off_t at)
{
    if (followed(fd) && flags & MAP_SHARED && protection & PROT_WRITE)
        refuse("a shared writable mapping");
    return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, at);
}
EXPORT void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t at) { return map(address, size, protection, flags, fd, at); }
EXPORT void *mmap64(void *address, size_t size, int protection, int flags, int fd, off64_t at) { return map(address, size, protection, flags, fd, at); }

EXPORT int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags)
{
    char whole[PATH_MAX];
    if (below(from_directory, from, whole) || below(to_directory, to, whole))
        refuse("link");
    return REAL(linkat)(from_directory, from, to_directory, to, flags);
}
EXPORT int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

EXPORT int symlink(const char *target, const char *path)
{
    char whole[PATH_MAX];
    if (below(AT_FDCWD, path, whole))
        refuse("symlink");
    return REAL(symlink)(target, path);
}

/* NAME (parameters), which descriptor, (arguments). */
#define NEVER(type, name, parameters, fd, arguments)    \
    EXPORT type name parameters                         \
    {                                                   \
        if (followed(fd))                               \
            refuse(#name);                              \
        return REAL(name) arguments;                    \
    }
NEVER(int, dup, (int fd), fd, (fd))
NEVER(int, dup2, (int fd, int to), fd, (fd, to))
NEVER(int, dup3, (int fd, int to, int flags), fd, (fd, to, flags))
NEVER(int, fallocate, (int fd, int mode, off_t at, off_t bytes), fd, (fd, mode, at, bytes))
NEVER(int, fallocate64, (int fd, int mode, off64_t at, off64_t bytes), fd, (fd, mode, at, bytes))
NEVER(int, posix_fallocate, (int fd, off_t at, off_t bytes), fd, (fd, at, bytes))
NEVER(int, posix_fallocate64, (int fd, off64_t at, off64_t bytes), fd, (fd, at, bytes))
NEVER(ssize_t, pwritev2, (int fd, const struct iovec *parts, int count, off_t at, int flags), fd, (fd, parts, count, at, flags))
NEVER(ssize_t, copy_file_range, (int in, off64_t *from, int fd, off64_t *to, size_t bytes, unsigned flags), fd, (in, from, fd, to, bytes, flags))
NEVER(ssize_t, sendfile, (int fd, int in, off_t *at, size_t bytes), fd, (fd, in, at, bytes))
NEVER(ssize_t, splice, (int in, off64_t *from, int fd, off64_t *to, size_t bytes, unsigned flags), fd, (in, from, fd, to, bytes, flags))
NEVER(int, syncfs, (int fd), fd, (fd))

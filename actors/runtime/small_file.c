/* small_file.c - a few bytes kept in a file of their own: read whole, written whole or not at all. */
#include "small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int small_file_read(const char *path, msgpack_sbuffer *to)
{
    char bytes[4096];
    ssize_t n = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    while (to->size <= SMALL_FILE_MAX && (n = read(fd, bytes, sizeof bytes)) > 0)
        msgpack_sbuffer_write(to, bytes, (size_t)n);
    int error = n < 0 ? errno : n > 0 ? EFBIG : 0;
    close(fd);
    errno = error;
    return n == 0 ? 0 : -1;
}

int small_file_write(const char *path, struct slice bytes)
{
    char fresh[4400];
    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    errno = ENOSPC; /* where fewer are written than asked for */
    int rc = write(fd, bytes.data, bytes.size) == (ssize_t)bytes.size ? fdatasync(fd) : -1;
    int error = errno;
    if (close(fd) == 0 && rc == 0 && rename(fresh, path) == 0)
        return 0;
    errno = rc ? error : errno;
    return -1;
}

int small_file_load(const char *path, const struct schema *schema, void *message, msgpack_sbuffer *pool)
{
    struct fault fault;
    msgpack_sbuffer_clear(pool);
    if (small_file_read(path, pool))
        return -1;
    errno = EILSEQ;
    return schema_decode(schema, (struct slice){ pool->data, pool->size }, message, &fault);
}

int small_file_save(const char *path, const struct schema *schema, const void *message)
{
    struct fault fault;
    msgpack_sbuffer bytes;
    msgpack_sbuffer_init(&bytes);
    errno = EILSEQ;
    int rc = schema_encode(schema, message, &bytes, &fault);
    if (rc == 0)
        rc = small_file_write(path, (struct slice){ bytes.data, bytes.size });
    int error = errno;
    msgpack_sbuffer_destroy(&bytes);
    errno = error;
    return rc;
}

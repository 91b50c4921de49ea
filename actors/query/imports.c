/* imports.c - asks for an import of another recorder's database, and says how it goes. */
#include "imports.h"
#include "small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_ROOM = 4400, SILENT_US = 10000000 };

struct place { char request[PATH_ROOM], status[PATH_ROOM], control[PATH_ROOM]; };

static int find_place(actor_t *actor, struct place *place)
{
    int length = snprintf(place->control, sizeof place->control, "%s/run/services/import/supervise/control", actor_suite(actor)->data);
    if (length < (int)sizeof place->control && actor_path(actor, place->request, sizeof place->request, "import/request") == 0
            && actor_path(actor, place->status, sizeof place->status, "import/status") == 0)
        return 0;
    actor_refuse(actor, UNAVAILABLE, "", "the data directory cannot be used");
    return -1;
}

/* Tell s6, which knows one letter a command. */
static int command(const struct place *place, char letter)
{
    int fd = open(place->control, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = write(fd, &letter, 1);
    close(fd);
    return n == 1 ? 0 : -1;
}

/* To be up, again if need be: a request is there. */
static int start(const struct place *place)
{
    return command(place, 'u');
}

/* The path that is asked for now: 1; 0: none. */
static int read_request(const struct place *place, char path[PATH_ROOM])
{
    msgpack_sbuffer bytes;
    msgpack_sbuffer_init(&bytes);
    int there = small_file_read(place->request, &bytes) == 0 && bytes.size > 0 && bytes.size < PATH_ROOM;
    if (there)
        memcpy(path, bytes.data, bytes.size);
    path[there ? bytes.size : 0] = '\0';
    msgpack_sbuffer_destroy(&bytes);
    return there;
}

static void read_status(const struct place *place, struct import_status *status)
{
    msgpack_sbuffer pool;
    msgpack_sbuffer_init(&pool);
    if (small_file_load(place->status, import_status_schema(), status, &pool)) {
        schema_clear(import_status_schema(), status);
        SET_TEXT(status, state, "none", 4);
        SET_TEXT(status, text, "nothing has been imported yet", strlen("nothing has been imported yet"));
    }
    msgpack_sbuffer_destroy(&pool);
}

static bool is_state(const struct import_status *status, const char *state)
{
    return strcmp(status->state, state) == 0;
}

static void set_state(struct import_status *status, const char *state, const char *text)
{
    SET_TEXT(status, state, state, strlen(state));
    SET_TEXT(status, text, text, strlen(text));
}

/* What the file says is of the import before, or of a process that was killed: where a request
 * is there and nobody works at it, it is started once more. */
static void tell(actor_t *actor, const struct place *place, struct import_status *status)
{
    char path[PATH_ROOM];
    read_status(place, status);
    bool is_running = is_state(status, "running") || is_state(status, "stopped");
    if (!read_request(place, path)) {
        if (is_running)
            set_state(status, "stopped", "stopped: ask for it again, and it goes on");
        return;
    }
    if (is_running && strcmp(path, status->path) == 0) {
        if (!status->has_at || actor_now_us(actor) - status->at > SILENT_US)
            start(place);
        return;
    }
    schema_clear(import_status_schema(), status);
    set_state(status, "requested", start(place) ? "cannot be started: there is no supervisor" : "is about to begin");
    SET_TEXT(status, path, path, strlen(path));
}

int import_tell(actor_t *actor, struct import_status *status)
{
    struct place place;
    if (find_place(actor, &place))
        return UNAVAILABLE;
    tell(actor, &place, status);
    return OK;
}

/* Said at once, where import would only say it in the status. */
static const char *look_at(const struct import_request *request)
{
    struct stat info;
    if (request->path[0] != '/' || strlen(request->path) != request->path_size)
        return "must be a whole path, beginning with a slash";
    if (stat(request->path, &info))
        return errno == ENOENT || errno == ENOTDIR ? "there is no such file" : "cannot be looked at by the suite";
    return S_ISREG(info.st_mode) ? NULL : "is no regular file";
}

/* 0, or EEXIST where there is one already: it is never overwritten. */
static int leave_request(const struct place *place, const struct import_request *request)
{
    char fresh[PATH_ROOM + 16];
    snprintf(fresh, sizeof fresh, "%s.%ld", place->request, (long)getpid());
    if (small_file_write(fresh, (struct slice){ request->path, request->path_size }))
        return errno;
    int rc = link(fresh, place->request) ? errno : 0;
    unlink(fresh);
    return rc;
}

int import_ask(actor_t *actor, const struct import_request *request, struct import_status *status)
{
    struct place place;
    char path[PATH_ROOM];
    const char *why = look_at(request);
    if (why)
        return actor_refuse(actor, UNPROCESSABLE, "path", why);
    if (find_place(actor, &place))
        return UNAVAILABLE;
    int rc = leave_request(&place, request);
    if (rc == EEXIST && read_request(&place, path) && strcmp(path, request->path) != 0)
        return actor_refuse(actor, CONFLICT, "path", "another database is being imported");
    if (rc != 0 && rc != EEXIST)
        return actor_refuse(actor, UNAVAILABLE, "", "the request cannot be written");
    if (start(&place)) {
        if (rc == 0)
            unlink(place.request);
        return actor_refuse(actor, UNAVAILABLE, "", "there is no supervisor that could start it");
    }
    actor_info(actor, "an import of %s is asked for", request->path);
    tell(actor, &place, status);
    return OK;
}

/* Without its request it is not started again. */
int import_end(actor_t *actor, struct import_status *status)
{
    struct place place;
    if (find_place(actor, &place))
        return UNAVAILABLE;
    if (unlink(place.request) && errno == ENOENT)
        return actor_refuse(actor, CONFLICT, "", "nothing is being imported");
    command(&place, 'd');
    actor_info(actor, "the import is to stop");
    tell(actor, &place, status);
    return OK;
}

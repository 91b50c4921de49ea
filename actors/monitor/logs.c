/* logs.c - the logger's files, from their end. */
#include "logs.h"

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILES_MAX = 64, CHUNK = 65536, LINE_MAX_BYTES = 32768, READ_MS = 500, LOGS_BYTES = 4 * 1024 * 1024, ACTORS_MAX = 64 };

static const char *const levels[] = { "debug", "info", "warn", "error" };
enum { LEVELS = sizeof levels / sizeof *levels };

static int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int level_of(struct slice word)
{
    for (int i = 0; i < LEVELS; i++)
        if (word.size == strlen(levels[i]) && strncasecmp(word.data, levels[i], word.size) == 0)
            return i;
    return -1;
}

/* --- lines ------------------------------------------------------------------------------------- */

static struct slice take_word(struct slice *rest)
{
    const char *p = rest->data;
    size_t size = 0, skip = 0;
    while (size < rest->size && p[size] != ' ')
        size++;
    while (size + skip < rest->size && p[size + skip] == ' ')
        skip++;
    *rest = (struct slice){ p + size + skip, rest->size - size - skip };
    return (struct slice){ p, size };
}

static void set_message(struct log_row *row, struct slice text)
{
    size_t size = text.size < sizeof row->message - 1 ? text.size : sizeof row->message - 1;
    while (size > 0 && size < text.size && ((const unsigned char *)text.data)[size] >> 6 == 2)
        size--; /* not in the middle of a character */
    SET_TEXT(row, message, text.data, size);
}

/* One object a line: {"time":...,"level":...,"actor":...,"message":...}. */
static bool parse_json(struct slice line, struct log_row *row)
{
    msgpack_sbuffer pool = { 0 };
    struct fault fault;
    bool good = line.size > 0 && *(const char *)line.data == '{' && schema_from_json(log_row_schema(), line, row, &pool, &fault) == 0;
    msgpack_sbuffer_destroy(&pool);
    return good && row->has_time && row->has_actor;
}

void logs_parse(struct slice line, struct log_row *row)
{
    struct slice rest = line;
    int64_t at_us;
    *row = (struct log_row){ 0 };
    if (parse_json(line, row))
        return;
    *row = (struct log_row){ 0 };
    struct slice at = take_word(&rest), level = take_word(&rest), actor = take_word(&rest);
    int known = level_of(level);
    if (time_read(at, &at_us) == 0 && known >= 0 && actor.size > 0 && actor.size < sizeof row->actor) {
        SET(row, time, at_us);
        SET_TEXT(row, level, levels[known], strlen(levels[known]));
        SET_TEXT(row, actor, actor.data, actor.size);
        set_message(row, rest);
    } else {
        set_message(row, line); /* a supervisor's, or a sanitizer's */
    }
}

/* --- files -------------------------------------------------------------------------------------- */

struct log_file { char name[64]; uint64_t inode; int64_t bytes; };
struct log_files { struct log_file list[FILES_MAX]; size_t count; };

/* "current" is the newest; the others have their time in their name. */
static int newest_first(const void *a, const void *b)
{
    const struct log_file *one = a, *other = b;
    bool is_current = *one->name != '@', is_other = *other->name != '@';
    return is_current != is_other ? (is_current ? -1 : 1) : strcmp(other->name, one->name);
}

static void find_files(const char *directory, struct log_files *files)
{
    DIR *dir = opendir(directory);
    struct stat info;
    char path[1200];
    files->count = 0;
    if (!dir)
        return;
    for (struct dirent *entry; files->count < FILES_MAX && (entry = readdir(dir)) != NULL;) {
        if ((*entry->d_name != '@' && strcmp(entry->d_name, "current") != 0) || strlen(entry->d_name) >= sizeof files->list->name)
            continue;
        snprintf(path, sizeof path, "%.1000s/%.63s", directory, entry->d_name);
        if (stat(path, &info) || !S_ISREG(info.st_mode))
            continue;
        struct log_file *file = &files->list[files->count++];
        *file = (struct log_file){ .inode = info.st_ino, .bytes = info.st_size };
        snprintf(file->name, sizeof file->name, "%.63s", entry->d_name);
    }
    closedir(dir);
    qsort(files->list, files->count, sizeof *files->list, newest_first);
}

/* --- backwards ------------------------------------------------------------------------------------ */

/* What is done with a line that begins at `at`: 0 to go on. */
typedef int line_fn(void *owner, struct slice line, int64_t at);

struct reader { char bytes[CHUNK + LINE_MAX_BYTES]; };

/* Every line that ends before `end`, from the last one on. A line longer than the room is given in pieces. */
static int read_back(struct reader *reader, int fd, int64_t end, line_fn *each, void *owner)
{
    size_t kept = 0; /* the beginning of a line whose rest is known */
    while (end > 0 || kept > 0) {
        size_t want = end < CHUNK ? (size_t)end : CHUNK;
        memmove(reader->bytes + want, reader->bytes, kept);
        if (want > 0 && pread(fd, reader->bytes, want, end - (int64_t)want) != (ssize_t)want)
            return 0; /* it has been taken away */
        end -= (int64_t)want;
        size_t size = want + kept, line_end = size;
        if (line_end > 0 && reader->bytes[line_end - 1] == '\n')
            line_end--;
        for (size_t i = line_end; i > 0; i--) {
            if (reader->bytes[i - 1] != '\n')
                continue;
            if (line_end > i && each(owner, (struct slice){ reader->bytes + i, line_end - i }, end + (int64_t)i))
                return 1;
            line_end = i - 1;
        }
        kept = line_end;
        if (end == 0 || kept > LINE_MAX_BYTES) {
            if (kept > 0 && each(owner, (struct slice){ reader->bytes, kept }, end))
                return 1;
            kept = 0;
        }
    }
    return 0;
}

/* --- questions ------------------------------------------------------------------------------------- */

struct finding {
    const struct logs_query *query;
    int level;
    logs_row_fn *row;
    void *owner;
    int64_t given, deadline_ms, before; /* lines at or after `before` have been given */
    uint64_t inode;
    struct page *end;
    bool is_over;               /* older ones are not wanted */
};

static bool is_of(const char *wanted, const char *actor)
{
    size_t size = strlen(wanted);
    return strncmp(actor, wanted, size) == 0 && (actor[size] == '\0' || actor[size] == '.');
}

static bool has_text(const struct log_row *row, const char *text)
{
    return memmem(row->message, row->message_size, text, strlen(text)) != NULL || strcasestr(row->message, text) != NULL;
}

static bool is_wanted(const struct finding *f, const struct log_row *row)
{
    const struct logs_query *q = f->query;
    return (f->level < 0 || (row->has_level && level_of((struct slice){ row->level, row->level_size }) >= f->level))
        && (!q->has_actor || (row->has_actor && is_of(q->actor, row->actor)))
        && (!q->has_q || has_text(row, q->q));
}

static int stop_before(struct finding *f, int64_t at, size_t size)
{
    char cursor[64];
    int length = snprintf(cursor, sizeof cursor, "%" PRIu64 "-%" PRId64, f->inode, at + (int64_t)size);
    SET_TEXT(f->end, next_cursor, cursor, (size_t)length);
    f->is_over = true;
    return 1;
}

static int look_at(void *owner, struct slice line, int64_t at)
{
    struct finding *f = owner;
    struct log_row row;
    logs_parse(line, &row);
    if (f->query->has_start_time && row.has_time && row.time < f->query->start_time) {
        f->is_over = true; /* lines of several processes are in order to a few milliseconds */
        return 1;
    }
    if (!is_wanted(f, &row))
        return clock_ms() > f->deadline_ms ? stop_before(f, at, 0) : 0;
    if (f->given >= f->query->limit || f->row(f->owner, &row))
        return stop_before(f, at, line.size + 1);
    f->given++;
    return clock_ms() > f->deadline_ms ? stop_before(f, at, 0) : 0;
}

static int refuse(struct fault *fault, const char *field, const char *why)
{
    *fault = (struct fault){ field, why };
    return -1;
}

/* The file of a cursor, and where in it; the newest file without one. */
static int find_start(const struct logs_query *query, const struct log_files *files, size_t *first, int64_t *end, struct fault *fault)
{
    uint64_t inode;
    int used = 0;
    *first = 0;
    *end = files->count ? files->list[0].bytes : 0;
    if (!query->has_cursor)
        return 0;
    if (sscanf(query->cursor, "%" SCNu64 "-%" SCNd64 "%n", &inode, end, &used) != 2 || query->cursor[used] || *end < 0)
        return refuse(fault, "cursor", "is none of this list");
    while (*first < files->count && files->list[*first].inode != inode)
        ++*first;
    if (*first < files->count && *end > files->list[*first].bytes)
        *end = files->list[*first].bytes;
    return 0;
}

int logs_find(const char *directory, const struct logs_query *query, logs_row_fn *row, void *owner, struct page *end, struct fault *fault)
{
    struct log_files files;
    struct finding f = { .query = query, .level = -1, .row = row, .owner = owner, .end = end, .deadline_ms = clock_ms() + READ_MS };
    size_t first;
    int64_t from;
    find_files(directory, &files);
    if (query->has_level && (f.level = level_of((struct slice){ query->level, query->level_size })) < 0)
        return refuse(fault, "level", "is none of debug, info, warn, error");
    if (find_start(query, &files, &first, &from, fault))
        return -1;
    struct reader *reader = malloc(sizeof *reader);
    assert(reader);
    for (size_t i = first; i < files.count && !f.is_over; i++) {
        char path[1200];
        snprintf(path, sizeof path, "%.1000s/%s", directory, files.list[i].name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        f.inode = files.list[i].inode;
        if (fd >= 0) {
            read_back(reader, fd, i == first ? from : files.list[i].bytes, look_at, &f);
            close(fd);
        }
    }
    free(reader);
    SET(end, count, f.given);
    SET(end, limit, query->limit);
    return 0;
}

/* --- counts ----------------------------------------------------------------------------------------- */

struct counting {
    struct log_counts *to;
    int64_t now_us, of_level[LEVELS], left;
    struct { char name[97]; int64_t count; } actors[ACTORS_MAX];
    size_t actor_count;
};

static void count_actor(struct counting *c, const struct log_row *row)
{
    size_t i = 0;
    while (i < c->actor_count && strcmp(c->actors[i].name, row->actor) != 0)
        i++;
    if (i == ACTORS_MAX)
        return;
    if (i == c->actor_count)
        snprintf(c->actors[c->actor_count++].name, sizeof c->actors->name, "%s", row->actor);
    c->actors[i].count++;
}

static int count_line(void *owner, struct slice line, int64_t at)
{
    struct counting *c = owner;
    struct log_row row;
    (void)at;
    logs_parse(line, &row);
    c->left -= (int64_t)line.size + 1;
    c->to->total_logs++;
    int level = row.has_level ? level_of((struct slice){ row.level, row.level_size }) : -1;
    if (level >= 0) /* a line of JSON may say anything */
        c->of_level[level]++;
    if (row.has_actor)
        count_actor(c, &row);
    if (row.has_time) {
        c->to->recent_logs += c->now_us - row.time <= INT64_C(3600000000);
        if (!c->to->has_newest)
            SET(c->to, newest, row.time);
        SET(c->to, oldest, row.time);
    }
    return c->left <= 0;
}

static void put(msgpack_sbuffer *pool, const char *separator, const char *name, int64_t count)
{
    char number[32];
    msgpack_sbuffer_write(pool, separator, strlen(separator));
    json_write_text(slice_of(name), pool);
    msgpack_sbuffer_write(pool, number, (size_t)snprintf(number, sizeof number, ":%" PRId64, count));
}

static void describe(const struct counting *c, msgpack_sbuffer *pool)
{
    msgpack_sbuffer_clear(pool);
    for (int i = 0; i < LEVELS; i++)
        put(pool, i ? "," : "{", levels[i], c->of_level[i]);
    msgpack_sbuffer_write(pool, "}", 1);
    size_t first = pool->size;
    msgpack_sbuffer_write(pool, "{", 1);
    for (size_t i = 0; i < c->actor_count; i++)
        put(pool, i ? "," : "", c->actors[i].name, c->actors[i].count);
    msgpack_sbuffer_write(pool, "}", 1);
    SET(c->to, levels, (struct slice){ pool->data, first });
    SET(c->to, services, (struct slice){ pool->data + first, pool->size - first });
}

void logs_count(const char *directory, int64_t now_us, struct log_counts *to, msgpack_sbuffer *pool)
{
    struct log_files files;
    struct counting c = { .to = to, .now_us = now_us, .left = LOGS_BYTES };
    struct reader *reader = malloc(sizeof *reader);
    assert(reader);
    *to = (struct log_counts){ .has_total_logs = true, .has_recent_logs = true, .has_bytes = true, .has_whole = true };
    find_files(directory, &files);
    for (size_t i = 0; i < files.count; i++) {
        char path[1200];
        to->bytes += files.list[i].bytes;
        snprintf(path, sizeof path, "%.1000s/%s", directory, files.list[i].name);
        int fd = c.left > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd >= 0) {
            read_back(reader, fd, files.list[i].bytes, count_line, &c);
            close(fd);
        }
    }
    free(reader);
    to->whole = c.left > 0;
    describe(&c, pool);
}

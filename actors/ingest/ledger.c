/* ledger.c - keep the gaps and the last known moment on the disk. */
#include "ledger.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_GAPS 10000
#define KNOWN_BYTES 256 /* one write within one sector */
#define SET_US INT64_C(1000000) /* a clock that moves by more was set */
#define NOTED_US (5 * INT64_C(1000000)) /* a frame captured since the last note is never older */

struct ledger {
    char directory[480];
    char boot_id[40];
    struct gap_entry *gaps;
    size_t count, room;
    int64_t next_number;
    int64_t latency_us;
    int64_t known_us, safe_us, session;
    int64_t booted_us;      /* when the machine was, by the clock as it is; 0: nobody said */
    int64_t own_number;     /* gaps from here on are of this process */
    bool is_doubtful;       /* so is the clock: the machine was booted since the last note, and it may not have been set yet */
    bool has_started;       /* there was a subscription once */
    bool is_unsaved;        /* the gaps could not be written */
    int64_t cut_us;         /* where the gap of the power cut that this process found begins; 0: it found none */
    int64_t unsaved_us;     /* where the first of those begins that are in no file; INT64_MAX: none */
    bool is_unnoted;        /* nor `known` */
    int known_fd;
    char damaged[PATH_MAX];
};

static const char *const cause_names[] = { [GAP_CONNECTION_LOST] = "connection_lost", [GAP_SILENT] = "silent_connection",
    [GAP_RESTART] = "home_assistant_restart", [GAP_DOWN] = "ingestor_down", [GAP_POWER] = "power_loss",
    [GAP_REFUSED] = "auth_refused", [GAP_OVERFLOW] = "capture_overflow", [GAP_DAMAGED] = "capture_damaged",
    [GAP_FIRST_START] = "first_start", [GAP_TOO_LARGE] = "message_too_large",
    [GAP_UNREACHED] = "history_too_short",
    [GAP_REQUESTED] = "requested" };
enum { CAUSES = sizeof cause_names / sizeof *cause_names };
static const char *const result_names[] = { [GAP_UNFILLED] = "unfilled", [GAP_FILLED] = "filled",
    [GAP_PARTLY] = "partly_filled", [GAP_UNRECOVERABLE] = "unrecoverable" };
enum { RESULTS = sizeof result_names / sizeof *result_names };

const char *gap_cause_name(enum gap_cause cause)
{
    return cause_names[cause];
}

static void path_of(const struct ledger *self, const char *name, char to[PATH_MAX])
{
    snprintf(to, PATH_MAX, "%s/%s", self->directory, name);
}

/* --- the list -------------------------------------------------------------------------- */

static struct gap_entry *push(struct ledger *self)
{
    if (self->count == self->room) {
        self->room = self->room ? 2 * self->room : 16;
        self->gaps = realloc(self->gaps, self->room * sizeof *self->gaps);
        assert(self->gaps);
    }
    struct gap_entry *gap = &self->gaps[self->count++];
    *gap = (struct gap_entry){ .number = self->next_number++ };
    return gap;
}

static void drop_at(struct ledger *self, size_t index)
{
    free(self->gaps[index].entity_id);
    memmove(self->gaps + index, self->gaps + index + 1, (--self->count - index) * sizeof *self->gaps);
}

/* Between the two of them nothing was missing, so what was filled of both is known no more. */
static void join(const struct gap_entry *first, struct gap_entry *second)
{
    second->start_us = first->start_us < second->start_us ? first->start_us : second->start_us;
    if (second->end_us != 0 && first->end_us > second->end_us)
        second->end_us = first->end_us;
    if (first->result == GAP_UNFILLED || second->result == GAP_UNFILLED) {
        second->result = GAP_UNFILLED;
        second->filled_us = 0;
    } else if (first->result > second->result) {
        second->result = first->result;
    }
    second->recovered += first->recovered;
    second->is_compared &= first->is_compared;
    if (second->unrecorded == 0)
        second->unrecorded = first->unrecorded;
}

/* Bounded, and never claiming less than before: the two oldest become one. A request claims nothing. */
static void bound(struct ledger *self)
{
    while (self->count > MAX_GAPS) {
        size_t oldest[2] = { 0 }, found = 0;
        for (size_t i = 0; i < self->count && found < 2; i++) {
            if (self->gaps[i].cause == GAP_REQUESTED && self->count > MAX_GAPS) {
                drop_at(self, i--);
                continue;
            }
            oldest[found++] = i;
        }
        if (self->count <= MAX_GAPS)
            return;
        join(&self->gaps[oldest[0]], &self->gaps[oldest[1]]);
        drop_at(self, oldest[0]);
    }
}

/* At the end of such a one everything was known again. */
static bool is_loss(const struct gap_entry *gap)
{
    return gap->cause != GAP_REQUESTED;
}

/* Where a gap begins if everything that came up to then is there. Events are dated when they are
 * fired: one that was lost may be older than the last that came. The gap before ends there. */
static int64_t start_of(const struct ledger *self, int64_t known_us)
{
    int64_t start_us = known_us > self->latency_us ? known_us - self->latency_us : 0;
    for (size_t i = 0; i < self->count; i++)
        if (is_loss(&self->gaps[i]) && self->gaps[i].end_us > start_us && self->gaps[i].end_us <= known_us)
            start_us = self->gaps[i].end_us;
    return start_us;
}

static struct gap_entry *open_gap(const struct ledger *self)
{
    for (size_t i = self->count; i > 0; i--)
        if (self->gaps[i - 1].end_us == 0)
            return &self->gaps[i - 1];
    return NULL;
}

/* --- gaps on the disk ------------------------------------------------------------------- */

static int write_gaps(const struct ledger *self, FILE *file)
{
    for (size_t i = 0; i < self->count; i++) {
        const struct gap_entry *g = &self->gaps[i];
        if (fprintf(file, "%" PRId64 " %" PRId64 " %" PRId64 " %s %s %" PRId64 " %" PRId64 " %" PRId64 " %016" PRIx64 " %d %s\n",
            g->number, g->start_us, g->end_us, cause_names[g->cause], result_names[g->result], g->filled_us, g->recovered,
            g->troubles, g->unrecorded, g->is_compared, g->entity_id ? g->entity_id : "-") < 0)
            return -1;
    }
    return fprintf(file, "end %zu\n", self->count) < 0 || fflush(file) || fsync(fileno(file)) ? -1 : 0;
}

static void sync_directory(const struct ledger *self)
{
    int fd = open(self->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

/* `changed` is what the file does not have yet. */
static void save(struct ledger *self, const struct gap_entry *changed)
{
    char path[PATH_MAX], new_path[PATH_MAX];
    if (changed && changed->start_us < self->unsaved_us)
        self->unsaved_us = changed->start_us;
    bound(self);
    path_of(self, "gaps", path);
    path_of(self, "gaps.new", new_path);
    FILE *file = fopen(new_path, "we");
    int bad = !file || write_gaps(self, file);
    if (file)
        bad |= fclose(file) != 0;
    self->is_unsaved = bad || rename(new_path, path);
    if (self->is_unsaved)
        return;
    self->unsaved_us = INT64_MAX;
    sync_directory(self);
}

static int place_of(const char *name, const char *const names[], int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

static bool is_time(int64_t at_us)
{
    return at_us >= 0 && at_us <= MAX_TIME_US;
}

static bool is_count(int64_t n)
{
    return n >= 0 && n <= MAX_COUNT;
}

static bool read_gap(struct ledger *self, const char *line)
{
    char cause[33], result[33] = "unfilled", entity_id[GAP_ENTITY + 1] = "-";
    struct gap_entry g = { 0 };
    int compared = 0;
    int fields = sscanf(line, "%" SCNd64 " %" SCNd64 " %" SCNd64 " %32s %32s %" SCNd64 " %" SCNd64 " %" SCNd64 " %16" SCNx64 " %d %1024s",
        &g.number, &g.start_us, &g.end_us, cause, result, &g.filled_us, &g.recovered, &g.troubles, &g.unrecorded, &compared, entity_id);
    if (fields != 4 && fields != 11)
        return false;
    int which = place_of(cause, cause_names, CAUSES), how = place_of(result, result_names, RESULTS);
    if (which < 0 || how < 0 || g.number < 1 || g.number > MAX_COUNT || !is_time(g.start_us) || !is_time(g.end_us)
        || (g.end_us > 0 && g.end_us < g.start_us) || !is_time(g.filled_us) || !is_count(g.recovered) || !is_count(g.troubles))
        return false;
    if (g.end_us == 0 && (how != GAP_UNFILLED || which == GAP_REQUESTED))
        return false;
    g.cause = (enum gap_cause)which;
    g.result = (enum gap_result)how;
    g.is_compared = compared != 0;
    if (strcmp(entity_id, "-") != 0) {
        g.entity_id = strdup(entity_id);
        assert(g.entity_id);
    }
    *push(self) = g;
    if (g.number >= self->next_number)
        self->next_number = g.number + 1;
    return true;
}

/* What can be read is taken; anything else makes the file damaged. */
static bool read_gaps(struct ledger *self, FILE *file)
{
    char line[GAP_ENTITY + 256], end[64];
    while (self->count < 2 * MAX_GAPS && fgets(line, sizeof line, file)) {
        snprintf(end, sizeof end, "end %zu\n", self->count);
        if (strcmp(line, end) == 0)
            return fgetc(file) == EOF;
        if (!read_gap(self, line))
            break;
    }
    while (fgets(line, sizeof line, file))
        (void)read_gap(self, line);
    return false;
}

static void load(struct ledger *self, int64_t now_us)
{
    char path[PATH_MAX];
    path_of(self, "gaps", path);
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    bool good = read_gaps(self, file);
    fclose(file);
    if (good)
        return;
    snprintf(self->damaged, sizeof self->damaged, "%.480s/gaps.damaged-%" PRId64, self->directory, now_us);
    (void)rename(path, self->damaged); /* if not, it is lost with the next line: the log says so */
    save(self, NULL);
}

/* --- the last known moment -------------------------------------------------------------- */

/* Who starts after us knows of no gap that is in no file: to him all since before it is missing,
 * and so long before that no frame captured later says otherwise. */
static int64_t noted(const struct ledger *self)
{
    int64_t before_us = self->unsaved_us > NOTED_US ? self->unsaved_us - NOTED_US : 0;
    return before_us < self->known_us ? before_us : self->known_us;
}

static void write_known(struct ledger *self, bool in_order)
{
    char text[KNOWN_BYTES + 1];
    int64_t known_us = noted(self), safe_us = self->safe_us < known_us ? self->safe_us : known_us;
    int length = snprintf(text, sizeof text, "known %" PRId64 " safe %" PRId64 " session %" PRId64
        " started %d clean %d booted %" PRId64 " boot %s end", known_us, safe_us, self->session, self->has_started, in_order,
        self->booted_us > 0 ? self->booted_us : 0, self->boot_id);
    assert(length > 0 && length < KNOWN_BYTES);
    memset(text + length, ' ', (size_t)(KNOWN_BYTES - 1 - length));
    text[KNOWN_BYTES - 1] = '\n';
    self->is_unnoted = pwrite(self->known_fd, text, KNOWN_BYTES, 0) != KNOWN_BYTES;
}

static void sync_known(struct ledger *self)
{
    if (fdatasync(self->known_fd))
        self->is_unnoted = true;
}

struct known { int64_t at_us, safe_us, session, booted_us; int started, clean; char boot[40]; };

static bool read_known(const struct ledger *self, struct known *known)
{
    char text[KNOWN_BYTES + 1] = "", end[4] = "";
    ssize_t got = pread(self->known_fd, text, KNOWN_BYTES, 0);
    return got == KNOWN_BYTES
        && sscanf(text, "known %" SCNd64 " safe %" SCNd64 " session %" SCNd64 " started %d clean %d booted %" SCNd64 " boot %39s %3s",
            &known->at_us, &known->safe_us, &known->session, &known->started, &known->clean, &known->booted_us, known->boot, end) == 8
        && strcmp(end, "end") == 0 && is_time(known->at_us) && is_time(known->safe_us) && is_time(known->booted_us) && known->session >= 0
        && known->session < MAX_COUNT;
}

/* A lost note: the gaps and the capture log still say something. */
static void guess_known(const struct ledger *self, const struct ledger_options *options, int64_t now_us,
    struct known *known)
{
    *known = (struct known){ .at_us = options->captured_us, .started = self->count > 0 || options->captured_us > 0 };
    if (known->started)
        known->session = now_us / 1000; /* beyond any that was given out */
    for (size_t i = 0; i < self->count; i++)
        if (is_loss(&self->gaps[i]) && self->gaps[i].end_us > known->at_us)
            known->at_us = self->gaps[i].end_us;
}

/* Nothing was missing up to here when the last process ended. */
static int64_t known_before(const struct ledger *self, const struct ledger_options *options, int64_t noted_us)
{
    int64_t captured_us = options->captured_us, known_us = noted_us;
    if (captured_us > known_us && captured_us <= known_us + NOTED_US) /* else the clock was set meanwhile */
        known_us = captured_us;
    if (!options->is_torn)
        return known_us;
    for (size_t i = self->count; captured_us == 0 && i > 0; i--) /* nothing could be read: all since the last gap */
        captured_us = is_loss(&self->gaps[i - 1]) ? self->gaps[i - 1].end_us : 0;
    return captured_us < known_us ? captured_us : known_us;
}

/* What a power cut has left is whole up to here. */
static int64_t safe_before(const struct ledger *self, const struct known *known)
{
    if (known->safe_us > 0 || self->count == 0)
        return known->safe_us;
    return self->gaps[0].end_us; /* the note is older than the first start: nothing was promised before */
}

/* The clock was set back while we were down: that moment by the clock as it is now, which may go by it again. */
static int64_t by_the_clock_now(const struct ledger *self, int64_t booted_us, int64_t us)
{
    int64_t by_us = self->booted_us - booted_us;
    return by_us < -SET_US && -by_us < us ? us + by_us : us;
}

static void account_for_absence(struct ledger *self, const struct ledger_options *options, int64_t now_us)
{
    struct known known;
    bool has_note = read_known(self, &known);
    if (!has_note)
        guess_known(self, options, now_us, &known);
    self->session = known.session;
    self->known_us = known.at_us;
    self->safe_us = known.safe_us;
    self->has_started = known.started || self->count > 0; /* the note may be older than the list */
    bool power_cut = has_note && !known.clean && strcmp(known.boot, self->boot_id) != 0;
    if (!self->has_started || (open_gap(self) && !power_cut))
        return;
    int64_t start_us = power_cut ? safe_before(self, &known) : known_before(self, options, known.at_us);
    self->is_doubtful = has_note && strcmp(known.boot, self->boot_id) != 0;
    if (has_note && !self->is_doubtful && known.booted_us > 0)
        start_us = by_the_clock_now(self, known.booted_us, start_us);
    if (start_us > now_us)
        start_us = now_us;
    ledger_lost(self, start_us, power_cut ? GAP_POWER : GAP_DOWN);
    self->cut_us = power_cut ? open_gap(self)->start_us : 0;
}

/* --- life ------------------------------------------------------------------------------ */

static int open_known(struct ledger *self, const char **why)
{
    char path[PATH_MAX];
    path_of(self, "known", path);
    self->known_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (self->known_fd < 0)
        *why = strerror(errno);
    return self->known_fd < 0 ? -1 : 0;
}

ledger_t *ledger_open(const struct ledger_options *options, int64_t now_us, const char **why, const char **damaged)
{
    struct ledger *self = calloc(1, sizeof *self);
    assert(self);
    snprintf(self->directory, sizeof self->directory, "%s", options->directory);
    snprintf(self->boot_id, sizeof self->boot_id, "%.36s", *options->boot_id ? options->boot_id : "-");
    self->latency_us = options->latency_us;
    self->booted_us = options->booted_us;
    self->next_number = 1;
    self->unsaved_us = INT64_MAX;
    if (open_known(self, why)) {
        free(self);
        return NULL;
    }
    load(self, now_us);
    self->own_number = self->next_number;
    account_for_absence(self, options, now_us);
    write_known(self, false);
    *damaged = *self->damaged ? self->damaged : NULL;
    return self;
}

void ledger_close(ledger_t **self_p, bool in_order)
{
    struct ledger *self = *self_p;
    if (!self)
        return;
    if (in_order) {
        self->safe_us = self->known_us;
        write_known(self, true);
        (void)fdatasync(self->known_fd);
    }
    close(self->known_fd);
    for (size_t i = 0; i < self->count; i++)
        free(self->gaps[i].entity_id);
    free(self->gaps);
    free(self);
    *self_p = NULL;
}

/* --- rules ----------------------------------------------------------------------------- */

void ledger_lost(ledger_t *self, int64_t known_us, enum gap_cause cause)
{
    if (!self->has_started)
        return; /* nothing was promised yet */
    struct gap_entry *gap = open_gap(self);
    if (gap) {
        ledger_began_by(self, known_us);
        save(self, gap);
        ledger_cause(self, cause);
        return;
    }
    int64_t start_us = start_of(self, known_us);
    gap = push(self);
    gap->start_us = start_us;
    gap->cause = cause;
    self->known_us = known_us;
    save(self, gap);
}

void ledger_cause(ledger_t *self, enum gap_cause cause)
{
    struct gap_entry *gap = open_gap(self);
    bool vague = gap && (gap->cause == GAP_CONNECTION_LOST || gap->cause == GAP_SILENT);
    if (!vague || gap->cause == cause || (cause != GAP_RESTART && cause != GAP_REFUSED))
        return;
    gap->cause = cause;
    save(self, gap);
}

void ledger_began_by(ledger_t *self, int64_t us)
{
    struct gap_entry *gap = open_gap(self);
    if (gap && start_of(self, us) < gap->start_us)
        gap->start_us = start_of(self, us);
}

void ledger_live(ledger_t *self, int64_t now_us)
{
    struct gap_entry *gap = open_gap(self);
    if (!gap && !self->has_started) {
        gap = push(self);
        gap->start_us = now_us;
        gap->cause = GAP_FIRST_START;
    }
    self->has_started = true;
    self->known_us = now_us;
    if (gap) {
        gap->end_us = now_us > gap->start_us ? now_us : gap->start_us;
        save(self, gap);
    }
    write_known(self, false);
    sync_known(self);
}

/* Where the first record already cannot be read it was never written, if the power was cut; else nobody
 * knows: all since the last gap. */
static int64_t damaged_from(const struct ledger *self, int64_t end_us)
{
    int64_t from_us = 0;
    if (self->cut_us > 0)
        return self->cut_us < end_us ? self->cut_us : end_us;
    for (size_t i = 0; i < self->count; i++)
        if (self->gaps[i].end_us > from_us && self->gaps[i].end_us <= end_us)
            from_us = self->gaps[i].end_us;
    return from_us;
}

static bool is_told(const struct ledger *self, int64_t start_us, int64_t end_us)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->gaps[i].start_us <= start_us && (self->gaps[i].end_us == 0 || self->gaps[i].end_us >= end_us))
            return true;
    return false;
}

void ledger_add(ledger_t *self, int64_t start_us, int64_t end_us, enum gap_cause cause, bool continues)
{
    struct gap_entry *gap = NULL;
    if (start_us == 0)
        start_us = damaged_from(self, end_us);
    if (cause == GAP_DAMAGED && is_told(self, start_us, end_us))
        return; /* of a power cut: it tore what it also lost */
    for (size_t i = self->count; continues && i > 0 && !gap; i--)
        if (self->gaps[i - 1].cause == cause && self->gaps[i - 1].end_us > 0)
            gap = &self->gaps[i - 1];
    if (!gap) {
        int64_t from_us = start_of(self, start_us);
        gap = push(self);
        gap->start_us = from_us;
        gap->cause = cause;
    }
    gap->end_us = end_us > gap->start_us ? end_us : gap->start_us;
    gap->result = GAP_UNFILLED; /* it has more to be filled than before */
    save(self, gap);
    if (self->is_unsaved)
        write_known(self, false); /* what it tells of is given up now, not in a second */
}

int64_t ledger_request(ledger_t *self, int64_t start_us, int64_t end_us, struct slice entity_id)
{
    assert(end_us >= start_us && entity_id.size <= GAP_ENTITY);
    if (self->count >= MAX_GAPS)
        return -1;
    struct gap_entry *gap = push(self);
    gap->start_us = start_us;
    gap->end_us = end_us;
    gap->cause = GAP_REQUESTED;
    if (entity_id.size > 0) {
        gap->entity_id = strndup(entity_id.data, entity_id.size);
        assert(gap->entity_id);
    }
    save(self, NULL);
    return gap->number;
}

static struct gap_entry *find(const struct ledger *self, int64_t number)
{
    for (size_t i = self->count; i > 0; i--)
        if (self->gaps[i - 1].number == number)
            return &self->gaps[i - 1];
    return NULL;
}

void ledger_unreached(ledger_t *self, int64_t start_us, int64_t end_us)
{
    struct gap_entry *gap = NULL;
    for (size_t i = 0; i < self->count; i++) {
        struct gap_entry *known = &self->gaps[i];
        if (known->cause != GAP_UNREACHED || known->start_us > start_us || known->end_us < start_us)
            continue;
        if (known->end_us >= end_us)
            return;
        gap = known;
    }
    if (!gap) {
        gap = push(self);
        gap->start_us = start_us;
        gap->cause = GAP_UNREACHED;
    }
    gap->end_us = gap->filled_us = end_us;
    gap->result = GAP_UNRECOVERABLE;
    save(self, gap);
}

void ledger_fill(ledger_t *self, const struct gap_entry *filled)
{
    struct gap_entry *gap = find(self, filled->number);
    if (!gap)
        return;
    gap->result = filled->result;
    gap->filled_us = filled->filled_us;
    gap->recovered = filled->recovered;
    gap->troubles = filled->troubles;
    gap->unrecorded = filled->unrecorded;
    gap->is_compared = filled->is_compared;
    save(self, NULL); /* if it cannot be written, the same is done again later */
}

/* --- lists ------------------------------------------------------------------------------ */

/* FNV-1a, never 0. */
static uint64_t key_of(struct slice text)
{
    uint64_t key = UINT64_C(14695981039346656037);
    const unsigned char *at = text.data;
    for (size_t i = 0; i < text.size; i++)
        key = (key ^ at[i]) * UINT64_C(1099511628211);
    return key ? key : 1;
}

static void path_of_list(const struct ledger *self, uint64_t key, char to[PATH_MAX])
{
    char name[40];
    snprintf(name, sizeof name, "unrecorded-%016" PRIx64, key);
    path_of(self, name, to);
}

uint64_t ledger_keep_list(ledger_t *self, struct slice json)
{
    char path[PATH_MAX], new_path[PATH_MAX];
    uint64_t key = key_of(json);
    path_of_list(self, key, path);
    if (access(path, F_OK) == 0)
        return key;
    path_of(self, "unrecorded.new", new_path);
    FILE *file = fopen(new_path, "we");
    if (!file)
        return 0;
    int bad = fwrite(json.data, 1, json.size, file) != json.size || fflush(file) || fsync(fileno(file));
    bad |= fclose(file) != 0;
    return bad || rename(new_path, path) ? 0 : key;
}

char *ledger_list(const ledger_t *self, uint64_t key)
{
    char path[PATH_MAX];
    path_of_list(self, key, path);
    FILE *file = key ? fopen(path, "re") : NULL;
    if (!file)
        return NULL;
    char *text = malloc(LIST_BYTES + 1);
    assert(text);
    size_t size = fread(text, 1, LIST_BYTES + 1, file);
    fclose(file);
    if (size <= LIST_BYTES && key_of((struct slice){ text, size }) == key) {
        text[size] = '\0';
        return text;
    }
    free(text);
    return NULL;
}

int64_t ledger_next_session(ledger_t *self)
{
    self->session++;
    write_known(self, false);
    sync_known(self);
    return self->session;
}

int64_t ledger_session(const ledger_t *self)
{
    return self->session;
}

void ledger_note(ledger_t *self, int64_t known_us)
{
    self->known_us = known_us;
    write_known(self, false);
}

void ledger_safe(ledger_t *self, int64_t safe_us)
{
    self->safe_us = safe_us;
}

void ledger_booted(ledger_t *self, int64_t booted_us)
{
    int64_t by_us = booted_us - self->booted_us;
    self->booted_us = booted_us;
    if (!self->is_doubtful || by_us <= SET_US)
        return;
    self->is_doubtful = false;
    struct gap_entry *first = NULL;
    for (size_t i = 0; i < self->count; i++) {
        struct gap_entry *gap = &self->gaps[i];
        if (gap->number < self->own_number || gap->end_us == 0)
            continue;
        gap->end_us += by_us;
        first = first ? first : gap;
    }
    if (first)
        save(self, first);
}

int ledger_fd(const ledger_t *self)
{
    return self->known_fd;
}

void ledger_retry(ledger_t *self)
{
    if (self->is_unsaved)
        save(self, NULL);
    if (self->is_unnoted)
        write_known(self, false);
}

size_t ledger_count(const ledger_t *self)
{
    return self->count;
}

const struct gap_entry *ledger_gap(const ledger_t *self, size_t index)
{
    assert(index < self->count);
    return &self->gaps[index];
}

const struct gap_entry *ledger_find(const ledger_t *self, int64_t number)
{
    return find(self, number);
}

bool ledger_is_failing(const ledger_t *self)
{
    return self->is_unsaved || self->is_unnoted;
}

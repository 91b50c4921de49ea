/* faults.c - what can be done to the home and its clients, by a script or by POST /control/. */
#include "orders.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

/* The next word, NUL-terminated in `word`; false if there is none. */
bool order_word(struct order *order, char *word, size_t room)
{
    size_t size = 0;

    while (*order->rest == ' ' || *order->rest == '\n')
        order->rest++;
    while (order->rest[size] && order->rest[size] != ' ' && order->rest[size] != '\n')
        size++;
    if (size == 0 || size >= room)
        return false;
    memcpy(word, order->rest, size);
    word[size] = 0;
    order->rest += size;
    while (*order->rest == ' ')
        order->rest++;
    return true;
}

double order_number(struct order *order, double otherwise)
{
    char word[64];

    return order_word(order, word, sizeof word) ? strtod(word, NULL) : otherwise;
}

static void end_all(struct order *order, enum ending ending, const char *why)
{
    for (size_t i = 0; i < order->home->session_count; i++)
        session_end(order->home->sessions[i], ending, why);
}

/* --- connections -------------------------------------------------------------------------- */

static bool do_close(struct order *order)
{
    end_all(order, ENDS_AFTER_REST, "close");
    return true;
}

static bool do_abort(struct order *order)
{
    end_all(order, ENDS_WITH_RESET, "abort");
    return true;
}

static bool do_halfopen(struct order *order)
{
    for (size_t i = 0; i < order->home->session_count; i++) {
        order->home->sessions[i]->frozen = true;
        order->home->thaw(order->home->sessions[i], false);
    }
    return true;
}

static bool do_silence(struct order *order)
{
    for (size_t i = 0; i < order->home->session_count; i++)
        order->home->sessions[i]->silent = true;
    return true;
}

static bool do_slow(struct order *order)
{
    double bytes_per_s = order_number(order, 0);

    for (size_t i = 0; i < order->home->session_count; i++) {
        order->home->sessions[i]->slow_bytes_per_s = bytes_per_s;
        order->home->sessions[i]->slow_since_us = order->home->now_us;
    }
    return true;
}

static bool do_restart(struct order *order)
{
    startup_stop(order->home, (int64_t)(order_number(order, 5) * 1e6));
    return true;
}

/* The network is gone for a while: what is connected is reset, or falls silent, and nobody new gets in. */
static bool do_cut(struct order *order)
{
    char word[16];

    order->home->cut_until_us = order->home->now_us + (int64_t)(order_number(order, 5) * 1e6);
    if (order_word(order, word, sizeof word) && strcmp(word, "silent") == 0)
        return do_halfopen(order);
    end_all(order, ENDS_WITH_RESET, "cut");
    return true;
}

static bool do_refuse_auth(struct order *order)
{
    char word[16];

    order->home->refuse_auth = !(order_word(order, word, sizeof word) && strcmp(word, "off") == 0);
    return true;
}

static bool do_swallow(struct order *order)
{
    char word[16];

    order->home->swallows = !(order_word(order, word, sizeof word) && strcmp(word, "off") == 0);
    return true;
}

static bool do_revoke(struct order *order)
{
    order->home->revoked = true;
    end_all(order, ENDS_AFTER_REST, "token revoked");
    return true;
}

/* --- frames ---------------------------------------------------------------------------------- */

static bool do_big_frame(struct order *order)
{
    size_t bytes = (size_t)order_number(order, 64 << 20);
    struct text data = {0};

    text_say(&data, "{\"filler\":\"");
    text_reserve(&data, bytes + 4);
    memset(data.data + data.size, 'x', bytes);
    data.size += bytes;
    text_say(&data, "\"}");
    world_set_time(order->home->world, order->home->now_us);
    world_fire(order->home->world, "big_event", text_view(&data), "LOCAL", NULL);
    text_free(&data);
    return true;
}

static void begin_arrays(struct home *home)
{
    for (size_t i = 0; i < home->session_count; i++) {
        home->sessions[i]->arraying = true;
        text_set(&home->sessions[i]->array, "[", 1);
    }
}

static void end_arrays(struct home *home)
{
    for (size_t i = 0; i < home->session_count; i++) {
        struct session *session = home->sessions[i];
        session->arraying = false;
        text_say(&session->array, "]");
        if (session->array.size > 2) {
            outbox_put_frame(&session->outbox, text_view(&session->array));
            home->wake(session);
        }
        text_free(&session->array);
    }
}

static bool do_array(struct order *order)
{
    struct home *home = order->home;
    int64_t until = home->events + (int64_t)order_number(order, 100);

    begin_arrays(home);
    for (int64_t tries = 0; home->events < until && tries < 1000000; tries++)
        world_step(home->world, home->now_us);
    end_arrays(home);
    return true;
}

/* Frames that no HA would send; they are not events and not in the truth as such. */
static bool send_bad(struct order *order, const char *text, size_t size)
{
    for (size_t i = 0; i < order->home->session_count; i++) {
        struct session *session = order->home->sessions[i];
        if (!session->authenticated || session->frozen)
            continue;
        outbox_put_frame(&session->outbox, (struct slice){text, size});
        order->home->wake(session);
    }
    return true;
}

static bool do_bad_json(struct order *order)
{
    static const char bad[] =
        "{\"type\":\"event\",\"event\":{\"event_type\":\"state_changed\",\"data\":{\"entity_id\":\"sensor.broken\",,}";

    return send_bad(order, bad, sizeof bad - 1);
}

static bool do_bad_utf8(struct order *order)
{
    static const char bad[] = "{\"type\":\"event\",\"event\":{\"event_type\":\"bad_\xff\xfe\",\"data\":{}},\"id\":1}";

    return send_bad(order, bad, sizeof bad - 1);
}

/* --- the home itself ------------------------------------------------------------------------------ */

static bool do_flush(struct order *order)
{
    truth_flush(order->home->truth);
    return true;
}

static bool do_stats(struct order *order)
{
    struct home *home = order->home;
    struct rusage usage;
    size_t pending = 0;

    for (size_t i = 0; i < home->session_count; i++)
        pending += home->sessions[i]->outbox.pending + (home->sessions[i]->wire.size > 0);
    getrusage(RUSAGE_SELF, &usage);
    text_printf(order->answer,
        "{\"events\":%lld,\"clients\":%d,\"connections\":%d,\"pending\":%zu,\"pending_peak\":%zu,\"dropped\":%lld,\"entities\":%zu,"
        "\"running\":%s,\"generating\":%s,\"cpu_us\":%lld}",
        (long long)home->events, home_clients(home), home->connections, pending, home->pending_peak,
        (long long)home->dropped,
        home->world->count, home->phase == RUNNING ? "true" : "false", home->generating ? "true" : "false",
        (long long)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec +
            usage.ru_stime.tv_usec);
    return true;
}

static const struct order_row orders[] = {
    {"close", "", do_close},
    {"abort", "", do_abort},
    {"halfopen", "", do_halfopen},
    {"silence", "", do_silence},
    {"slow", "BYTES_PER_SECOND (0: as before)", do_slow},
    {"restart", "[SECONDS]", do_restart},
    {"cut", "[SECONDS] [silent]", do_cut},
    {"refuse-auth", "[off]", do_refuse_auth},
    {"revoke", "", do_revoke},
    {"swallow", "[off]", do_swallow},
    {"big-frame", "BYTES", do_big_frame},
    {"array", "EVENTS", do_array},
    {"bad-json", "", do_bad_json},
    {"bad-utf8", "", do_bad_utf8},
    {"flush", "", do_flush},
    {"stats", "", do_stats},
};

static const struct {
    const struct order_row *rows;
    size_t count;
} tables[] = {{orders, sizeof orders / sizeof *orders}, {house_orders, HOUSE_ORDERS}};

static const struct order_row *find_order(const char *name)
{
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < tables[i].count; j++)
            if (strcmp(tables[i].rows[j].name, name) == 0)
                return &tables[i].rows[j];
    return NULL;
}

static void say_orders(struct text *answer)
{
    text_say(answer, "no such command, or it cannot be done. Commands:\n");
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < tables[i].count; j++)
            text_printf(answer, "  %s %s\n", tables[i].rows[j].name, tables[i].rows[j].arguments);
}

static void note(struct home *home, const char *command)
{
    struct text quoted = {0};

    text_json(&quoted, (struct slice){command, strnlen(command, 400)});
    text_add(&quoted, "", 1);
    truth_note(home->truth, home->now_us, "\"fault\":%s", quoted.data);
    text_free(&quoted);
}

bool fault_run(struct home *home, struct slice command, struct text *answer)
{
    while (command.size && strchr(" \r\n", ((const char *)command.data)[command.size - 1]))
        command.size--;
    char *words = strndup(command.data, command.size), name[32];
    struct order order = {.home = home, .rest = words, .answer = answer};
    const struct order_row *row;
    bool done = false;

    assert(words);
    world_set_time(home->world, home->now_us);
    if (order_word(&order, name, sizeof name) && (row = find_order(name))) {
        if (row->run != do_stats)
            note(home, words);
        done = row->run(&order);
    }
    if (!done)
        say_orders(answer);
    else if (!answer->size)
        text_say(answer, "ok\n");
    free(words);
    return done;
}

/* --- the script: lines of `at SECONDS command` and `after EVENTS command` ---------------------- */

struct line {
    double at_s;
    int64_t after;
    char *command;
    bool done;
};
struct script {
    struct line *lines;
    size_t count;
};

static bool add_line(struct script *self, const char *text, int number_of_line)
{
    char when[8];
    double amount;
    int used = 0;

    if (text[0] == '#' || text[strspn(text, " \n")] == 0)
        return true;
    if (sscanf(text, "%7s %lf %n", when, &amount, &used) < 2 || !used ||
        (strcmp(when, "at") != 0 && strcmp(when, "after") != 0)) {
        fprintf(stderr, "home: script line %d is not 'at SECONDS command' or 'after EVENTS command'\n", number_of_line);
        return false;
    }
    self->lines = realloc(self->lines, (self->count + 1) * sizeof *self->lines);
    assert(self->lines);
    bool at = strcmp(when, "at") == 0;
    self->lines[self->count++] =
        (struct line){.at_s = at ? amount : -1, .after = at ? -1 : (int64_t)amount, .command = strdup(text + used)};
    return true;
}

struct script *script_new(const char *path)
{
    struct script *self = calloc(1, sizeof *self);
    char text[4096];
    int number_of_line = 0;

    assert(self);
    if (!path)
        return self;
    FILE *file = fopen(path, "re");
    if (!file) {
        fprintf(stderr, "home: cannot read %s\n", path);
        script_destroy(&self);
        return NULL;
    }
    while (self && fgets(text, sizeof text, file))
        if (!add_line(self, text, ++number_of_line))
            script_destroy(&self);
    fclose(file);
    return self;
}

void script_destroy(struct script **self_p)
{
    struct script *self = *self_p;

    if (!self)
        return;
    for (size_t i = 0; i < self->count; i++)
        free(self->lines[i].command);
    free(self->lines);
    free(self);
    *self_p = NULL;
}

void script_tick(struct home *home)
{
    double elapsed_s = (double)(home->now_us - home->began_us) / 1e6;

    for (size_t i = 0; i < home->script->count; i++) {
        struct line *line = &home->script->lines[i];
        bool due = line->after >= 0 ? home->events >= line->after : elapsed_s >= line->at_s;
        if (line->done || !due)
            continue;
        line->done = true;
        struct text answer = {0};
        if (!fault_run(home, slice_of(line->command), &answer))
            fprintf(stderr, "home: script: %s: %.*s", line->command, (int)answer.size, answer.data);
        text_free(&answer);
    }
}

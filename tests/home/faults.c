/* faults.c - what can be done to the home and its clients, by a script or by POST /control/. */
#include "home.h"
#include "read.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

/* One command at work: what is left of its words, and where its answer goes. */
struct order {
    struct home *home;
    const char *rest;
    struct text *answer;
};

/* The next word, NUL-terminated in `word`; false if there is none. */
static bool next_word(struct order *order, char *word, size_t room)
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

static double number(struct order *order, double otherwise)
{
    char word[64];

    return next_word(order, word, sizeof word) ? strtod(word, NULL) : otherwise;
}

static struct entity *entity(struct order *order)
{
    char word[256];

    return next_word(order, word, sizeof word) ? world_find(order->home->world, slice_of(word)) : NULL;
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
    double bytes_per_s = number(order, 0);

    for (size_t i = 0; i < order->home->session_count; i++) {
        order->home->sessions[i]->slow_bytes_per_s = bytes_per_s;
        order->home->sessions[i]->slow_since_us = order->home->now_us;
    }
    return true;
}

static bool do_restart(struct order *order)
{
    startup_stop(order->home, (int64_t)(number(order, 5) * 1e6));
    return true;
}

static bool do_refuse_auth(struct order *order)
{
    char word[16];

    order->home->refuse_auth = !(next_word(order, word, sizeof word) && strcmp(word, "off") == 0);
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
    size_t bytes = (size_t)number(order, 64 << 20);
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
    int64_t until = home->events + (int64_t)number(order, 100);

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

/* --- the house ---------------------------------------------------------------------------------- */

static bool do_registry_delay(struct order *order)
{
    order->home->registry_delay_us = (int64_t)(number(order, 0) * 1000);
    return true;
}

static bool do_registry_size(struct order *order)
{
    order->home->world->padding_bytes = (size_t)number(order, 0);
    return true;
}

static bool do_rename(struct order *order)
{
    char word[256];
    struct entity *found = entity(order);

    return found && next_word(order, word, sizeof word) && world_rename(order->home->world, found, slice_of(word));
}

static bool do_move(struct order *order)
{
    char word[256] = "";
    struct entity *found = entity(order);

    next_word(order, word, sizeof word);
    return found && world_move(order->home->world, found, slice_of(word));
}

static bool do_remove(struct order *order)
{
    struct entity *found = entity(order);

    if (found)
        world_remove(order->home->world, found);
    return found;
}

static bool do_add(struct order *order)
{
    char word[256];

    if (!next_word(order, word, sizeof word) || !strchr(word, '.'))
        return false;
    struct entity *found = world_find(order->home->world, slice_of(word));
    if (!found)
        world_add_plain(order->home->world, slice_of(word), slice_of("unknown"), slice_of("{}"));
    else if (!found->present)
        world_write(order->home->world, found, slice_of("unknown"), text_view(&found->attributes), NULL);
    return true;
}

static bool do_fire(struct order *order)
{
    char type[256];

    if (!next_word(order, type, sizeof type))
        return false;
    struct slice data = slice_of(*order->rest ? order->rest : "{}");
    if (!read_valid(data) || *(const char *)data.data != '{')
        return false;
    world_fire(order->home->world, type, data, "LOCAL", NULL);
    return true;
}

/* set ENTITY STATE [ATTRIBUTES]; the state may be a JSON string, as "" or " 12 " need it. */
static bool do_set(struct order *order)
{
    char id[256], word[1024];
    struct text state = {0};
    struct slice rest, key, value;

    if (!next_word(order, id, sizeof id))
        return false;
    if (*order->rest == '"') {
        rest = slice_of(order->rest);
        if (!read_next(&rest, &key, &value) || !read_text(value, &state))
            return false;
        order->rest += value.size;
    } else if (next_word(order, word, sizeof word)) {
        text_set(&state, word, strlen(word));
    }
    while (*order->rest == ' ')
        order->rest++;
    struct slice attributes = slice_of(order->rest);
    struct entity *found = world_find(order->home->world, slice_of(id));
    bool valid = !attributes.size || (read_valid(attributes) && *(const char *)attributes.data == '{');
    if (valid && !found)
        world_add_plain(order->home->world, slice_of(id), text_view(&state), attributes);
    else if (valid)
        world_write(order->home->world, found, text_view(&state),
            attributes.size ? attributes : text_view(&found->attributes), NULL);
    text_free(&state);
    return valid;
}

static bool do_rate(struct order *order)
{
    order->home->rate = number(order, order->home->rate);
    order->home->due = 0;
    order->home->generating = true;
    return true;
}

static bool do_stop_events(struct order *order)
{
    order->home->generating = false;
    return true;
}

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
        "{\"events\":%lld,\"clients\":%d,\"connections\":%d,\"pending\":%zu,\"dropped\":%lld,\"entities\":%zu,"
        "\"running\":%s,\"generating\":%s,\"cpu_us\":%lld}",
        (long long)home->events, home_clients(home), home->connections, pending, (long long)home->dropped,
        home->world->count, home->phase == RUNNING ? "true" : "false", home->generating ? "true" : "false",
        (long long)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec +
            usage.ru_stime.tv_usec);
    return true;
}

static const struct {
    const char *name, *arguments;
    bool (*run)(struct order *);
} orders[] = {
    {"close", "", do_close},
    {"abort", "", do_abort},
    {"halfopen", "", do_halfopen},
    {"silence", "", do_silence},
    {"slow", "BYTES_PER_SECOND (0: as before)", do_slow},
    {"restart", "[SECONDS]", do_restart},
    {"refuse-auth", "[off]", do_refuse_auth},
    {"revoke", "", do_revoke},
    {"big-frame", "BYTES", do_big_frame},
    {"array", "EVENTS", do_array},
    {"bad-json", "", do_bad_json},
    {"bad-utf8", "", do_bad_utf8},
    {"registry-delay", "MILLISECONDS", do_registry_delay},
    {"registry-size", "BYTES", do_registry_size},
    {"rename", "ENTITY NEW_ENTITY", do_rename},
    {"move", "ENTITY [AREA]", do_move},
    {"remove", "ENTITY", do_remove},
    {"add", "ENTITY", do_add},
    {"fire", "TYPE [JSON]", do_fire},
    {"set", "ENTITY STATE [ATTRIBUTES]", do_set},
    {"rate", "EVENTS_PER_SECOND", do_rate},
    {"stop-events", "", do_stop_events},
    {"flush", "", do_flush},
    {"stats", "", do_stats},
};

static void say_orders(struct text *answer)
{
    text_say(answer, "no such command, or it cannot be done. Commands:\n");
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        text_printf(answer, "  %s %s\n", orders[i].name, orders[i].arguments);
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
    bool done = false;

    assert(words);
    world_set_time(home->world, home->now_us);
    if (next_word(&order, name, sizeof name))
        for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
            if (strcmp(orders[i].name, name) == 0) {
                if (orders[i].run != do_stats)
                    note(home, words);
                done = orders[i].run(&order);
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

/* metrics.c - every counter of every actor as Prometheus text (0.0.4). A name is shown once for
 * all processes of an actor, described by the actor's stats message. */
#include "reply.h"

#include <stdio.h>
#include <string.h>

enum { BEATS_SHOWN = 256 };

struct shown { struct self *self; const struct beat *beats[BEATS_SHOWN]; size_t count; int64_t clock_us; };

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const struct beat *const *)a)->key, (*(const struct beat *const *)b)->key);
}

static void put_label(msgpack_sbuffer *b, const char *value)
{
    put(b, "\"");
    for (const char *p = value; *p; p++)
        put(b, *p == '\\' || *p == '"' ? "\\%c" : *p == '\n' ? "\\n" : "%c", *p);
    put(b, "\"");
}

static void put_sample(msgpack_sbuffer *b, const char *name, const struct beat *beat, bool with_actor)
{
    put(b, "%s{", name);
    if (with_actor) {
        put(b, "actor=");
        put_label(b, beat->said.actor);
        put(b, ",");
    }
    put(b, "instance=");
    put_label(b, beat->said.instance);
    put(b, "} ");
}

/* --- what every process has --- */

static void put_up(msgpack_sbuffer *b, const struct shown *s, const struct beat *beat)
{
    put(b, "%d\n", beat_is_fresh(beat, s->clock_us) ? 1 : 0);
}

static void put_age(msgpack_sbuffer *b, const struct shown *s, const struct beat *beat)
{
    put(b, "%.3f\n", (double)(s->clock_us - beat->heard_us) / 1e6);
}

static void put_cpu(msgpack_sbuffer *b, const struct shown *s, const struct beat *beat)
{
    (void)s;
    put(b, "%.6f\n", (double)beat->said.cpu_us / 1e6);
}

static void put_rss(msgpack_sbuffer *b, const struct shown *s, const struct beat *beat)
{
    (void)s;
    if (beat->said.has_rss_bytes)
        put(b, "%lld\n", (long long)beat->said.rss_bytes);
    else
        put(b, "NaN\n");
}

static const struct common {
    const char *name, *type, *help;
    void (*put)(msgpack_sbuffer *, const struct shown *, const struct beat *);
} commons[] = {
    { "ha_ingestor_up", "gauge", "1 while the process sends heartbeats", put_up },
    { "ha_ingestor_heartbeat_age_seconds", "gauge", "Time since the last heartbeat", put_age },
    { "ha_ingestor_cpu_seconds_total", "counter", "Processor time used, user and system", put_cpu },
    { "ha_ingestor_resident_memory_bytes", "gauge", "Resident memory", put_rss },
};

static void put_commons(msgpack_sbuffer *b, const struct shown *s)
{
    for (size_t i = 0; i < sizeof commons / sizeof *commons; i++) {
        put(b, "# HELP %s %s\n# TYPE %s %s\n", commons[i].name, commons[i].help, commons[i].name, commons[i].type);
        for (size_t j = 0; j < s->count; j++) {
            put_sample(b, commons[i].name, s->beats[j], true);
            commons[i].put(b, s, s->beats[j]);
        }
    }
}

/* --- what an actor counts --- */

static const struct schema *stats_of(const char *actor)
{
    char name[64];
    snprintf(name, sizeof name, "%s_stats", actor);
    for (size_t i = 0; all_schemas[i]; i++)
        if (!strcmp(all_schemas[i]()->name, name))
            return all_schemas[i]();
    return NULL;
}

static bool counter_value(struct self *self, const struct field *f, const char *counters, double *value)
{
    struct json_value root, v;
    struct slice text;
    int64_t at_us;
    const char *why;
    if (json_read(self->json, slice_of(counters), &root, &why))
        return false;
    v = json_at(self->json, root.raw, f->name);
    if (v.kind == JSON_NUMBER)
        return json_real(v, value);
    if (v.kind == JSON_TRUE || v.kind == JSON_FALSE) {
        *value = v.kind == JSON_TRUE;
        return true;
    }
    if (v.kind != JSON_TEXT || !(f->flags & TIME) || !json_text(self->json, v, &text) || time_read(text, &at_us))
        return false;
    *value = (double)at_us / 1e6;
    return true;
}

/* Prometheus counts in seconds. */
static bool is_micros(const char *name)
{
    size_t size = strlen(name);
    return size > 3 && !strcmp(name + size - 3, "_us");
}

static void put_counter(msgpack_sbuffer *b, const struct shown *s, size_t from, size_t to, const struct field *f)
{
    char name[160];
    double value;
    bool time = f->flags & TIME, gauge = f->flags & GAUGE || time, micros = !time && is_micros(f->name);
    snprintf(name, sizeof name, "ha_ingestor_%s_%.*s%s%s", s->beats[from]->said.actor, (int)(strlen(f->name) - (micros ? 3 : 0)),
        f->name, time || micros ? "_seconds" : "", gauge ? "" : "_total");
    const char *unit = micros ? strstr(f->doc, ", microseconds") : NULL;
    put(b, "# HELP %s %.*s\n# TYPE %s %s\n", name, (int)(unit ? unit - f->doc : (ptrdiff_t)strlen(f->doc)), f->doc, name,
        gauge ? "gauge" : "counter");
    for (size_t i = from; i < to; i++)
        if (s->beats[i]->counters && counter_value(s->self, f, s->beats[i]->counters, &value)) {
            put_sample(b, name, s->beats[i], false);
            put(b, "%.17g\n", micros ? value / 1e6 : value);
        }
}

static void put_actor(msgpack_sbuffer *b, const struct shown *s, size_t from, size_t to)
{
    const struct schema *stats = stats_of(s->beats[from]->said.actor);
    for (size_t i = 0; stats && i < stats->count; i++) {
        enum kind kind = stats->fields[i].kind;
        if (kind == INT_KIND || kind == REAL_KIND || kind == FLAG_KIND)
            put_counter(b, s, from, to, &stats->fields[i]);
    }
}

static void gather(struct shown *s)
{
    zhashx_t *beats = watch_beats(s->self->watch);
    for (struct beat *one = zhashx_first(beats); one && s->count < BEATS_SHOWN; one = zhashx_next(beats))
        s->beats[s->count++] = one;
    qsort(s->beats, s->count, sizeof *s->beats, by_key);
}

void metrics_show(connection_t *c)
{
    struct shown s = { .self = c->self, .clock_us = actor_clock_us(c->actor) };
    msgpack_sbuffer *b = &c->self->body;
    gather(&s);
    msgpack_sbuffer_clear(b);
    put(b, "# HELP ha_ingestor_broker_up 1 while the broker answers the gateway\n# TYPE ha_ingestor_broker_up gauge\n"
        "ha_ingestor_broker_up %d\n", health_broker(c->self) ? 1 : 0);
    put_commons(b, &s);
    for (size_t from = 0, to; from < s.count; from = to) {
        for (to = from + 1; to < s.count && !strcmp(s.beats[to]->said.actor, s.beats[from]->said.actor); to++) {
        }
        put_actor(b, &s, from, to);
    }
    reply_body(c, 200, "text/plain; version=0.0.4; charset=utf-8", NULL, (struct slice){ b->data, b->size });
}

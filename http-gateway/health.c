/* health.c - who lives: heartbeats, pings, and the two answers made from them. */
#include "off.h"
#include "reply.h"

#include <stdio.h>
#include <string.h>

enum { BEATS_MAX = 256, STALE_US = 3 * 1000000, PING_MS = 900 };

/* Those that must answer for /health to be 200. */
enum pinged { SINK, QUERY, PINGED };
static const char *const ping_names[PINGED] = { [SINK] = "sink", [QUERY] = "query" };
static const struct contract *const ping_services[PINGED] = { [SINK] = &sink_ping_contract, [QUERY] = &query_ping_contract };

struct ping { bool asking, answered; int verdict; int64_t at_us, took_us, asked_us; };

struct watch {
    zhashx_t *beats;
    struct ping pings[PINGED];
    bool connected;
    int64_t broker_us;          /* monotonic: the broker's last sign of life */
    bool has_session;
    struct ingest_session session;
};

static void beat_destroy(void **item_p)
{
    struct beat *b = *item_p;
    free(b->counters);
    free(b);
    *item_p = NULL;
}

watch_t *watch_new(void)
{
    watch_t *w = calloc(1, sizeof *w);
    assert(w);
    w->beats = zhashx_new();
    assert(w->beats);
    zhashx_set_destructor(w->beats, beat_destroy);
    return w;
}

void watch_destroy(watch_t **self_p)
{
    if (!*self_p)
        return;
    zhashx_destroy(&(*self_p)->beats);
    free(*self_p);
    *self_p = NULL;
}

zhashx_t *watch_beats(watch_t *w)
{
    return w->beats;
}

bool beat_is_fresh(const struct beat *b, int64_t clock_us)
{
    int64_t limit_us = b->said.every_ms * 3000;
    return clock_us - b->heard_us <= (limit_us > STALE_US ? limit_us : STALE_US);
}

/* --- what arrives --- */

static void measure_cpu(struct beat *b, const struct heartbeat *now)
{
    int64_t span_us = now->at - b->said.at;
    b->has_cpu = b->said.pid == now->pid && span_us > 0 && now->cpu_us >= b->said.cpu_us;
    if (b->has_cpu)
        b->cpu_percent = 100.0 * (double)(now->cpu_us - b->said.cpu_us) / (double)span_us;
}

static struct beat *find_beat(watch_t *w, const struct heartbeat *said)
{
    char key[80];
    snprintf(key, sizeof key, "%s/%s", said->actor, said->instance);
    struct beat *b = zhashx_lookup(w->beats, key);
    if (b || zhashx_size(w->beats) >= BEATS_MAX)
        return b;
    b = calloc(1, sizeof *b);
    assert(b);
    memcpy(b->key, key, sizeof key);
    zhashx_insert(w->beats, b->key, b);
    return b;
}

int health_on_session(struct self *self, actor_t *actor, const struct ingest_session *session)
{
    (void)actor;
    self->watch->session = *session;
    self->watch->session.has_event_types = false; /* a slice that dies now */
    self->watch->has_session = true;
    return OK;
}

/* --- pings --- */

static bool is_alive(const struct self *self, enum pinged who)
{
    const struct ping *p = &self->watch->pings[who];
    return p->answered && actor_clock_us(self->actor) - p->at_us <= STALE_US;
}

static void on_pong(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer)
{
    watch_t *w = self->watch;
    struct ping *p = &w->pings[tag];
    p->asking = false;
    p->verdict = answer->verdict;
    if (answer->verdict != TOO_LATE && answer->verdict != UNAVAILABLE)
        w->broker_us = actor_clock_us(actor); /* it passed the question on, or knew that nobody is there */
    if (answer->verdict != OK)
        return;
    p->answered = true;
    p->at_us = actor_clock_us(actor);
    p->took_us = p->at_us - p->asked_us;
}

static void ping(struct self *self, enum pinged who)
{
    struct ping *p = &self->watch->pings[who];
    struct nothing nothing = { 0 };
    struct fault fault;
    if (p->asking)
        return;
    msgpack_sbuffer_clear(&self->packed);
    if (nothing_encode(&nothing, &self->packed, &fault))
        return;
    p->asked_us = actor_clock_us(self->actor);
    p->asking = actor_ask_raw(self->actor, ping_services[who]->subject, (struct slice){ self->packed.data, self->packed.size },
        PING_MS, on_pong, who) == 0;
}

/* Whoever has ended because its settings switch it off is neither stopped nor silent: there is none. One at a time. */
static void forget_off(struct self *self)
{
    zhashx_t *beats = self->watch->beats;
    for (struct beat *b = zhashx_first(beats); b; b = zhashx_next(beats))
        if (!beat_is_fresh(b, actor_clock_us(self->actor)) && off_is(actor_suite(self->actor)->data, b->said.actor, NULL)) {
            zhashx_delete(beats, b->key);
            return;
        }
}

void health_tick(struct self *self)
{
    forget_off(self);
    for (enum pinged i = SINK; i < PINGED; i++)
        ping(self, i);
}

/* Somebody who did not answer shows signs of life: no need to wait for the next tick. */
static void ping_again(struct self *self, const char *actor)
{
    for (enum pinged i = SINK; i < PINGED; i++)
        if (!is_alive(self, i) && strcmp(actor, ping_names[i]) == 0)
            ping(self, i);
}

int health_on_heartbeat(struct self *self, actor_t *actor, const struct heartbeat *said)
{
    struct beat *b = find_beat(self->watch, said);
    if (!b)
        return OK;
    measure_cpu(b, said);
    free(b->counters);
    b->counters = NULL;
    if (said->has_counters)
        b->counters = strndup(said->counters.data, said->counters.size);
    b->said = *said;
    b->said.counters = slice_of(b->counters);
    /* A last value replayed to us may be old: believe its own time, if the clocks agree. */
    int64_t age_us = actor_now_us(actor) - said->at;
    b->heard_us = actor_clock_us(actor) - (age_us > 0 ? age_us : 0);
    self->watch->broker_us = actor_clock_us(actor);
    if (beat_is_fresh(b, self->watch->broker_us))
        ping_again(self, said->actor);
    return OK;
}

void health_connected(struct self *self, bool up)
{
    self->watch->connected = up;
    if (!up)
        return;
    self->watch->broker_us = actor_clock_us(self->actor);
    health_tick(self);
}

bool health_broker(const struct self *self)
{
    return self->watch->connected && actor_clock_us(self->actor) - self->watch->broker_us <= STALE_US;
}

/* --- verdicts --- */

struct verdict_text { const char *name, *status; char why[280]; int64_t took_us; };

static const struct beat *best_beat(watch_t *w, const char *actor, int64_t clock_us)
{
    const struct beat *best = NULL;
    for (struct beat *b = zhashx_first(w->beats); b; b = zhashx_next(w->beats)) {
        if (strcmp(b->said.actor, actor))
            continue;
        bool better = !best || (beat_is_fresh(b, clock_us) && (!beat_is_fresh(best, clock_us) || !strcmp(b->said.status, "healthy")));
        best = better ? b : best;
    }
    return best;
}

/* By its heartbeat alone. */
static struct verdict_text judge_beat(const struct self *self, const char *name)
{
    struct verdict_text v = { .name = name, .status = "unhealthy", .took_us = -1 };
    int64_t clock_us = actor_clock_us(self->actor);
    const struct beat *b = best_beat(self->watch, name, clock_us);
    if (!b) {
        snprintf(v.why, sizeof v.why, "it has never been heard of");
    } else if (!beat_is_fresh(b, clock_us)) {
        snprintf(v.why, sizeof v.why, "silent for %lld s", (long long)((clock_us - b->heard_us) / 1000000));
    } else {
        v.status = b->said.status;
        snprintf(v.why, sizeof v.why, "%s", b->said.has_why ? b->said.why : "");
    }
    return v;
}

/* It lives, and says itself that something is wrong. */
static bool has_trouble(const struct self *self, const char *name)
{
    int64_t clock_us = actor_clock_us(self->actor);
    const struct beat *b = best_beat(self->watch, name, clock_us);
    return b && beat_is_fresh(b, clock_us) && (!strcmp(b->said.status, "degraded") || !strcmp(b->said.status, "unhealthy"));
}

static struct verdict_text judge_ping(const struct self *self, enum pinged who)
{
    struct verdict_text v = judge_beat(self, ping_names[who]);
    const struct ping *p = &self->watch->pings[who];
    if (is_alive(self, who)) {
        v.took_us = p->took_us;
        if (!has_trouble(self, ping_names[who])) {
            v.status = "healthy";
            v.why[0] = '\0';
        }
        return v;
    }
    v.status = "unhealthy";
    if (!health_broker(self))
        snprintf(v.why, sizeof v.why, "cannot be asked: the broker is away");
    else
        snprintf(v.why, sizeof v.why, p->verdict == NO_OWNER ? "nobody answers to %s" : "%s was not answered within 3 s", ping_services[who]->subject);
    return v;
}

static struct verdict_text judge_broker(const struct self *self)
{
    struct verdict_text v = { .name = "broker", .status = health_broker(self) ? "healthy" : "unhealthy", .took_us = -1 };
    if (!self->watch->connected)
        snprintf(v.why, sizeof v.why, "not connected");
    else if (!health_broker(self))
        snprintf(v.why, sizeof v.why, "no sign of life for 3 s");
    return v;
}

enum { DEPENDENCIES = 7, NEEDED = 3 };

static void judge(const struct self *self, struct verdict_text v[DEPENDENCIES])
{
    v[0] = judge_broker(self);
    v[1] = judge_ping(self, SINK);
    v[2] = judge_ping(self, QUERY);
    v[3] = judge_beat(self, "ingest");
    v[4] = judge_beat(self, "registry");
    v[5] = judge_beat(self, "enrich");
    v[6] = judge_beat(self, "monitor"); /* who watches the others is watched here */
}

/* NULL: ingest has not said, or has fallen silent. */
static const char *home_assistant(const struct self *self)
{
    int64_t clock_us = actor_clock_us(self->actor);
    const struct beat *b = best_beat(self->watch, "ingest", clock_us);
    return self->watch->has_session && b && beat_is_fresh(b, clock_us) ? self->watch->session.state : NULL;
}

static const char *overall(const struct self *self, const struct verdict_text v[DEPENDENCIES])
{
    const char *home = home_assistant(self), *worst = home && !strcmp(home, "live") ? "healthy" : "degraded";
    for (size_t i = 0; i < DEPENDENCIES; i++) {
        if (i < NEEDED && !strcmp(v[i].status, "unhealthy"))
            return "unhealthy";
        if (strcmp(v[i].status, "healthy"))
            worst = "degraded";
    }
    return worst;
}

/* --- answers --- */

static void put_session(const struct self *self, msgpack_sbuffer *b)
{
    const struct ingest_session *s = &self->watch->session;
    const char *state = home_assistant(self);
    put(b, "{\"state\":");
    put_json(b, state ? state : "unknown");
    put(b, ",\"version\":");
    put_json(b, state && s->has_ha_version ? s->ha_version : NULL);
    put(b, ",\"since\":");
    if (state && s->has_since)
        put_time(b, s->since);
    else
        put(b, "null");
    if (state && s->has_why && strcmp(state, "live")) {
        put(b, ",\"why\":");
        put_json(b, s->why);
    }
    put(b, "}");
}

static void put_head(const struct self *self, const char *status, msgpack_sbuffer *b)
{
    put(b, "{\"status\":\"%s\",\"service\":\"ha-ingestor\",\"version\":", status);
    put_json(b, actor_version());
    put(b, ",\"timestamp\":");
    put_time(b, actor_now_us(self->actor));
    put(b, ",\"uptime_seconds\":%.3f,\"authentication\":{\"enabled\":false},\"home_assistant\":",
        (double)(actor_clock_us(self->actor) - self->started_us) / 1e6);
    put_session(self, b);
    put(b, ",\"dependencies\":");
}

void health_short(connection_t *c)
{
    struct self *self = c->self;
    struct verdict_text v[DEPENDENCIES];
    msgpack_sbuffer *b = &self->body;
    judge(self, v);
    const char *status = overall(self, v);
    bool well = strcmp(status, "unhealthy") != 0;
    msgpack_sbuffer_clear(b);
    put_head(self, status, b);
    for (size_t i = 0; i < DEPENDENCIES; i++) {
        put(b, "%s\"%s\":{\"status\":", i ? "," : "{", v[i].name);
        put_json(b, v[i].status);
        if (v[i].why[0]) {
            put(b, ",\"why\":");
            put_json(b, v[i].why);
        }
        put(b, "}");
    }
    put(b, "}}");
    reply_body(c, well ? 200 : 503, "application/json", well ? NULL : "Retry-After: 1\r\n", (struct slice){ b->data, b->size });
}

static void put_beat(const struct self *self, const struct beat *beat, msgpack_sbuffer *b)
{
    const struct heartbeat *h = &beat->said;
    int64_t clock_us = actor_clock_us(self->actor);
    bool fresh = beat_is_fresh(beat, clock_us);
    put(b, "{\"actor\":");
    put_json(b, h->actor);
    put(b, ",\"instance\":");
    put_json(b, h->instance);
    put(b, ",\"status\":");
    put_json(b, fresh ? h->status : !strcmp(h->status, "stopping") ? "stopped" : "silent"); /* its last word, or none */
    put(b, ",\"why\":");
    put_json(b, h->has_why ? h->why : NULL);
    put(b, ",\"age_s\":%.3f,\"pid\":%lld,\"started_at\":", (double)(clock_us - beat->heard_us) / 1e6, (long long)h->pid);
    put_time(b, h->started_at);
    put(b, ",\"cpu_s\":%.6f,\"cpu_percent\":", (double)h->cpu_us / 1e6);
    if (beat->has_cpu && fresh)
        put(b, "%.2f", beat->cpu_percent);
    else
        put(b, "null");
    put(b, ",\"rss_bytes\":");
    if (h->has_rss_bytes)
        put(b, "%lld", (long long)h->rss_bytes);
    else
        put(b, "null");
    put(b, ",\"version\":");
    put_json(b, h->version);
    put(b, ",\"counters\":");
    put_slice(b, slice_of(beat->counters ? beat->counters : "null"));
    put(b, "}");
}

static void put_dependency(const struct verdict_text *v, msgpack_sbuffer *b)
{
    put(b, "{\"name\":\"%s\",\"type\":\"actor\",\"status\":", v->name);
    put_json(b, v->status);
    put(b, ",\"response_time_ms\":");
    if (v->took_us >= 0)
        put(b, "%.3f", (double)v->took_us / 1000);
    else
        put(b, "null");
    put(b, ",\"message\":");
    put_json(b, v->why[0] ? v->why : NULL);
    put(b, "}");
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(struct beat *const *)a)->key, (*(struct beat *const *)b)->key);
}

void health_long(connection_t *c)
{
    struct self *self = c->self;
    struct verdict_text v[DEPENDENCIES];
    struct beat *sorted[BEATS_MAX];
    size_t count = 0;
    msgpack_sbuffer *b = &self->body;
    judge(self, v);
    for (struct beat *one = zhashx_first(self->watch->beats); one; one = zhashx_next(self->watch->beats))
        sorted[count++] = one;
    qsort(sorted, count, sizeof *sorted, by_key);
    msgpack_sbuffer_clear(b);
    put_head(self, overall(self, v), b);
    for (size_t i = 0; i < DEPENDENCIES; i++) {
        put(b, i ? "," : "[");
        put_dependency(&v[i], b);
    }
    put(b, "],\"actors\":[");
    for (size_t i = 0; i < count; i++) {
        put(b, i ? "," : "");
        put_beat(self, sorted[i], b);
    }
    put(b, "]}");
    reply_body(c, 200, "application/json", NULL, (struct slice){ b->data, b->size });
}

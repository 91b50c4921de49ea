/* own.c - what the broker's process says of itself: its heartbeat and its own services. */
#include "own.h"
#include "wire.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { BEAT_MS = 2000, OK = 0, BROKEN = 6 }; /* verdicts of enum verdict, actor.h */

static const char *const policy_names[] = { [BUS_LOSSLESS] = "LOSSLESS", [BUS_LATEST] = "LATEST", [BUS_LIVE] = "LIVE" };

static int64_t wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* --- counters -------------------------------------------------------------------------- */

static void fill_stats(const struct own *self, struct broker_stats *stats)
{
    const struct broker_counters *c = broker_counters(self->broker);
    schema_clear(broker_stats_schema(), stats);
    SET(stats, peers, (int64_t)c->peers);
    SET(stats, published, (int64_t)c->published);
    SET(stats, delivered, (int64_t)c->delivered);
    SET(stats, acknowledged, (int64_t)c->acknowledged);
    SET(stats, redelivered, (int64_t)c->redelivered);
    SET(stats, dropped, (int64_t)c->dropped);
    SET(stats, asked, (int64_t)c->asked);
    SET(stats, answered, (int64_t)c->answered);
    SET(stats, unowned, (int64_t)c->unowned);
    SET(stats, late, (int64_t)c->late);
    SET(stats, refused, (int64_t)c->refused);
    SET(stats, gone, (int64_t)c->gone);
    SET(stats, overrun, (int64_t)c->overrun);
    SET(stats, unkept, (int64_t)c->unkept);
}

static void write_counters(const struct own *self, msgpack_sbuffer *out)
{
    struct broker_stats stats;
    fill_stats(self, &stats);
    schema_json(broker_stats_schema(), &stats, out);
}

static int64_t rss_bytes(void)
{
    char line[128] = "";
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return -1;
    bool is_read = fgets(line, sizeof line, file);
    fclose(file);
    char *second = is_read ? strchr(line, ' ') : NULL;
    return second ? strtoll(second, NULL, 10) * sysconf(_SC_PAGESIZE) : -1;
}

/* --- heartbeat ------------------------------------------------------------------------- */

static void fill_heartbeat(const struct own *self, const char *status, struct heartbeat *beat, msgpack_sbuffer *counters)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    int64_t rss = rss_bytes();
    write_counters(self, counters);
    schema_clear(heartbeat_schema(), beat);
    SET_TEXT(beat, actor, "broker", 6);
    SET_TEXT(beat, instance, self->suite.instance, self->suite.instance_size);
    SET_TEXT(beat, status, status, strlen(status));
    SET(beat, pid, getpid());
    SET(beat, started_at, self->started_us);
    SET(beat, at, wall_us());
    SET(beat, every_ms, BEAT_MS);
    SET(beat, cpu_us, (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) + usage.ru_utime.tv_usec +
        usage.ru_stime.tv_usec);
    if (rss >= 0)
        SET(beat, rss_bytes, rss);
    SET_TEXT(beat, version, SUITE_VERSION, strlen(SUITE_VERSION));
    SET(beat, counters, (struct slice){ counters->data, counters->size });
}

static int encode_heartbeat(const struct own *self, const char *status, msgpack_sbuffer *out)
{
    msgpack_sbuffer counters;
    struct heartbeat beat;
    struct fault fault;
    msgpack_sbuffer_init(&counters);
    fill_heartbeat(self, status, &beat, &counters);
    int rc = heartbeat_encode(&beat, out, &fault);
    msgpack_sbuffer_destroy(&counters);
    return rc;
}

void own_beat(struct own *self, const char *status, int64_t clock_us)
{
    char key[80];
    msgpack_sbuffer bytes;
    self->beat_us = clock_us + BEAT_MS * 1000;
    msgpack_sbuffer_init(&bytes);
    int size = snprintf(key, sizeof key, "broker\x1f%s\x1f", self->suite.instance); /* the TAG rows, as the runtime writes them */
    int rc = encode_heartbeat(self, status, &bytes);
    assert(rc == 0);
    broker_publish(self->broker, "actor.heartbeat", (struct bus_bytes){ key, (size_t)size },
        (struct bus_bytes){ bytes.data, bytes.size });
    msgpack_sbuffer_destroy(&bytes);
}

int own_wait_ms(const struct own *self, int64_t clock_us)
{
    int64_t ms = (self->beat_us - clock_us + 999) / 1000;
    return ms < 0 ? 0 : (int)ms;
}

/* --- services -------------------------------------------------------------------------- */

static void hand_over(msgpack_sbuffer *bytes, void **data, size_t *size)
{
    *size = bytes->size;
    *data = msgpack_sbuffer_release(bytes);
}

/* As the runtime does: the body is the reply; of a listing the body is its rows, the head its end. */
static int finish(int rc, msgpack_sbuffer *end, msgpack_sbuffer *rows, struct broker_reply *reply)
{
    if (rc == 0 && rows) {
        hand_over(end, &reply->head, &reply->head_size);
        hand_over(rows, &reply->body, &reply->body_size);
    } else if (rc == 0) {
        hand_over(end, &reply->body, &reply->body_size);
    }
    msgpack_sbuffer_destroy(end);
    if (rows)
        msgpack_sbuffer_destroy(rows);
    return rc ? BROKEN : OK;
}

static int answer_ping(void *owner, const char *service, struct bus_bytes query, struct broker_reply *reply)
{
    (void)owner, (void)service, (void)query;
    struct nothing nothing;
    struct fault fault;
    msgpack_sbuffer end;
    msgpack_sbuffer_init(&end);
    schema_clear(nothing_schema(), &nothing);
    return finish(nothing_encode(&nothing, &end, &fault), &end, NULL, reply);
}

static int answer_info(void *owner, const char *service, struct bus_bytes query, struct broker_reply *reply)
{
    (void)service, (void)query;
    const struct own *self = owner;
    struct actor_info info = { 0 };
    struct fault fault;
    msgpack_sbuffer end;
    msgpack_sbuffer_init(&end);
    SET_TEXT(&info, actor, "broker", 6);
    SET_TEXT(&info, instance, self->suite.instance, self->suite.instance_size);
    SET_TEXT(&info, doc, BROKER_DOC, strlen(BROKER_DOC));
    SET_TEXT(&info, version, SUITE_VERSION, strlen(SUITE_VERSION));
    SET(&info, pid, getpid());
    SET(&info, started_at, self->started_us);
    return finish(actor_info_encode(&info, &end, &fault), &end, NULL, reply);
}

static int answer_stats(void *owner, const char *service, struct bus_bytes query, struct broker_reply *reply)
{
    (void)service, (void)query;
    struct counters counters;
    struct fault fault;
    msgpack_sbuffer end, json;
    msgpack_sbuffer_init(&end);
    msgpack_sbuffer_init(&json);
    write_counters(owner, &json);
    schema_clear(counters_schema(), &counters);
    SET(&counters, counters, (struct slice){ json.data, json.size });
    int rc = counters_encode(&counters, &end, &fault);
    msgpack_sbuffer_destroy(&json);
    return finish(rc, &end, NULL, reply);
}

static int answer_config(void *owner, const char *service, struct bus_bytes query, struct broker_reply *reply)
{
    (void)service, (void)query;
    const struct own *self = owner;
    struct settings_view view;
    struct fault fault;
    msgpack_sbuffer end, json;
    msgpack_sbuffer_init(&end);
    msgpack_sbuffer_init(&json);
    schema_json(broker_config_schema(), &self->config, &json);
    schema_clear(settings_view_schema(), &view);
    SET(&view, settings, (struct slice){ json.data, json.size });
    int rc = settings_view_encode(&view, &end, &fault);
    msgpack_sbuffer_destroy(&json);
    return finish(rc, &end, NULL, reply);
}

struct queue_rows { msgpack_sbuffer bytes; int64_t count; int rc; };

/* What the wire lets pass fits into the row: one subject or name that does not would spoil the whole answer. */
_Static_assert(sizeof ((struct queue_row *)0)->topic > WIRE_SUBJECT, "a subject does not fit");
_Static_assert(sizeof ((struct queue_row *)0)->group > 2 * WIRE_NAME + 1, "a name and an instance do not fit");

static void add_queue(void *owner, const struct broker_queue *queue)
{
    struct queue_rows *rows = owner;
    struct queue_row row;
    struct fault fault;
    schema_clear(queue_row_schema(), &row);
    SET_TEXT(&row, topic, queue->topic, strlen(queue->topic));
    SET_TEXT(&row, policy, policy_names[queue->policy], strlen(policy_names[queue->policy]));
    SET_TEXT(&row, group, queue->group, strlen(queue->group));
    SET(&row, listeners, (int64_t)queue->listeners);
    SET(&row, depth, (int64_t)queue->depth);
    SET(&row, depth_bytes, (int64_t)queue->depth_bytes);
    SET(&row, in_flight, (int64_t)queue->in_flight);
    if (queue->oldest_us >= 0)
        SET(&row, oldest_age_s, (double)queue->oldest_us / 1e6);
    SET(&row, rate_per_s, queue->rate_per_s);
    rows->rc |= queue_row_encode(&row, &rows->bytes, &fault);
    rows->count++;
}

static int answer_queues(void *owner, const char *service, struct bus_bytes query, struct broker_reply *reply)
{
    (void)service, (void)query;
    struct own *self = owner;
    struct queue_rows rows = { .count = 0 };
    struct page page;
    struct fault fault;
    msgpack_sbuffer end;
    msgpack_sbuffer_init(&rows.bytes);
    msgpack_sbuffer_init(&end);
    broker_each_queue(self->broker, add_queue, &rows);
    schema_clear(page_schema(), &page);
    SET(&page, count, rows.count);
    int rc = page_encode(&page, &end, &fault);
    return finish(rc | rows.rc, &end, &rows.bytes, reply);
}

void own_answer_services(struct own *self)
{
    static const struct { const char *name; broker_service_fn *fn; } services[] = {
        { "broker.ping", answer_ping },
        { "broker.info", answer_info },
        { "broker.stats", answer_stats },
        { "broker.config", answer_config },
        { "broker.queues", answer_queues },
    };
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        broker_answers(self->broker, services[i].name, services[i].fn);
}

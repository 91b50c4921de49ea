/* registry.c - keeps devices, entities, areas, floors, labels and config entries as Home Assistant has them. */
#include "actor.h"

#include <stdio.h>
#include <string.h>

#include "answers.h"
#include "lists.h"
#include "place.h"

enum { FIRST_WAIT_MS = 10000, RETRY_MIN_MS = 5000, RETRY_MAX_MS = 300000, ROWS_WARNED = 10 };

/* A refresh on its way: the lists are asked for one after the other. */
struct refresh {
    bool is_on;
    int list;                   /* the one asked for */
    int64_t session, changes;   /* what it is a reading of */
    bool is_partial;            /* a list was not had */
    bool may_retry;             /* ... for a reason that may pass */
    int64_t bad_rows;
};

struct self {
    struct registry_config config;
    struct registry_stats stats;
    metadata_t *metadata;
    actor_t *actor;             /* for the rows' way out of the lists */
    bool is_live;
    int64_t session, changes;   /* as ingest says */
    bool is_read;               /* a refresh has ended */
    int64_t read_session, read_changes; /* what the last one was a reading of */
    bool is_settling;           /* the next refresh is due soon */
    bool has_mark;
    bool is_partial;            /* as the last mark said */
    int retry_ms;
    struct refresh refresh;
    int64_t revisions[TABLES];  /* of the last rows said */
    msgpack_sbuffer pool;       /* behind the slices of an answer */
};

static void settle(struct self *, actor_t *);

/* --- what is said ------------------------------------------------------------------------------ */

/* Topics overtake each other on their way; the mark names the last row of each. */
static int64_t next_revision(struct self *self, enum table table)
{
    int64_t now_us = actor_now_us(self->actor);
    int64_t *last = &self->revisions[table];
    *last = now_us > *last ? now_us : *last + 1;
    return *last;
}

static void publish_row(void *owner, enum table table, void *row)
{
    struct self *self = owner;
    switch (table) {
    case DEVICES:
        SET((struct device_row *)row, revision, next_revision(self, table));
        publish_registry_device(self->actor, row);
        break;
    case ENTITIES:
        SET((struct entity_row *)row, revision, next_revision(self, table));
        publish_registry_entity(self->actor, row);
        break;
    case AREAS:
        SET((struct area_row *)row, revision, next_revision(self, table));
        publish_registry_area(self->actor, row);
        break;
    case ENTRIES: /* nobody listens: they are asked for */
    case TABLES: break;
    }
}

static void publish_mark(struct self *self, actor_t *actor, int64_t session, int64_t changes, bool is_partial)
{
    struct registry_mark mark = { .has_session = false };
    SET(&mark, session, session);
    SET(&mark, registry_changes, changes);
    SET(&mark, partial, is_partial);
    SET(&mark, at, actor_now_us(actor));
    SET(&mark, device_revision, self->revisions[DEVICES]);
    SET(&mark, entity_revision, self->revisions[ENTITIES]);
    SET(&mark, area_revision, self->revisions[AREAS]);
    publish_registry_mark(actor, &mark);
    self->has_mark = true;
    self->is_partial = is_partial;
}

static void count_rows(struct self *self)
{
    SET(&self->stats, devices, metadata_count(self->metadata, DEVICES, false));
    SET(&self->stats, entities, metadata_count(self->metadata, ENTITIES, false));
    SET(&self->stats, removed, metadata_count(self->metadata, DEVICES, true) +
        metadata_count(self->metadata, ENTITIES, true) + metadata_count(self->metadata, AREAS, true));
}

/* --- the lists ---------------------------------------------------------------------------------- */

static void on_retry(struct self *self, actor_t *actor, int64_t tag)
{
    (void)tag;
    settle(self, actor);
}

static void end_refresh(struct self *self, actor_t *actor)
{
    struct refresh *r = &self->refresh;
    r->is_on = false;
    self->is_read = true;
    self->read_session = r->session;
    self->read_changes = r->changes;
    SET(&self->stats, refreshes, self->stats.refreshes + 1);
    if (!r->is_partial)
        SET(&self->stats, last_refresh_at, actor_now_us(actor));
    count_rows(self);
    publish_mark(self, actor, r->session, r->changes, r->is_partial);
    actor_info(actor, "read the registry of session %lld%s: %lld devices, %lld entities, %lld bad rows",
        (long long)r->session, r->is_partial ? " in part" : "", (long long)self->stats.devices,
        (long long)self->stats.entities, (long long)r->bad_rows);
    if (!r->may_retry) {
        self->retry_ms = RETRY_MIN_MS;
    } else {
        actor_after(actor, self->retry_ms, on_retry, 0);
        self->retry_ms = self->retry_ms > RETRY_MAX_MS / 2 ? RETRY_MAX_MS : self->retry_ms * 2;
    }
    if (self->is_live && (self->session != r->session || self->changes != r->changes))
        settle(self, actor);
    else if (self->is_live)
        place_ask(actor, (int)self->config.ask_ms);
}

static void refuse_row(void *owner, const char *key, const char *why)
{
    struct self *self = owner;
    SET(&self->stats, bad_rows, self->stats.bad_rows + 1);
    if (++self->refresh.bad_rows <= ROWS_WARNED)
        actor_warn(self->actor, "%s: row \"%s\" was not taken: %s", lists[self->refresh.list].command, key, why);
}

/* The list was not had: what was known stands. */
static void miss(struct self *self, actor_t *actor, const char *why, bool may_retry)
{
    self->refresh.is_partial = true;
    self->refresh.may_retry |= may_retry;
    SET(&self->stats, failures, self->stats.failures + 1);
    actor_warn(actor, "%s: %s; what was known of it stands", lists[self->refresh.list].command, why);
}

static void take(struct self *self, actor_t *actor, struct slice result)
{
    const char *why = "";
    struct taker taker = { .metadata = self->metadata, .now_us = actor_now_us(actor), .owner = self,
        .changed = publish_row, .refused = refuse_row };
    if (!list_take(&lists[self->refresh.list], result, &taker, &why))
        return;
    miss(self, actor, why, true);
    if (metadata_is_damaged(self->metadata)) {
        actor_error(actor, "metadata.db is damaged (%s): starting anew", why);
        actor_stop(actor, 111);
    }
}

static bool is_unknown_command(const struct ha_result *result)
{
    static const char code[] = "\"unknown_command\"";
    return result->has_error && memmem(result->error.data, result->error.size, code, sizeof code - 1);
}

/* Home Assistant's refusal, for the log: its error object as it was written. */
static void miss_refused(struct self *self, actor_t *actor, const struct ha_result *result)
{
    char why[300];
    snprintf(why, sizeof why, "Home Assistant refuses: %.*s",
        result->has_error ? (int)(result->error.size > 240 ? 240 : result->error.size) : 0,
        result->has_error ? (const char *)result->error.data : "");
    miss(self, actor, why, false);
}

static void ask_next(struct self *, actor_t *);

static void on_list(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer,
    const struct ha_result *result)
{
    if (!self->refresh.is_on || tag != self->refresh.list)
        return;
    if (answer->verdict != OK)
        miss(self, actor, answer->fault.why ? answer->fault.why : "no answer", true);
    else if (result->success && result->has_result)
        take(self, actor, result->result);
    else if (!result->success && is_unknown_command(result))
        take(self, actor, (struct slice){ NULL, 0 }); /* an older version has no such thing */
    else
        miss_refused(self, actor, result);
    self->refresh.list++;
    ask_next(self, actor);
}

/* Once the connection is lost there is nobody to ask: the refresh ends, in part. */
static void ask_next(struct self *self, actor_t *actor)
{
    struct refresh *r = &self->refresh;
    if (r->list == LISTS) {
        end_refresh(self, actor);
        return;
    }
    if (!self->is_live || self->session != r->session) {
        r->is_partial = true;
        end_refresh(self, actor);
        return;
    }
    char command[100];
    int size = snprintf(command, sizeof command, "{\"type\":\"%s\"}", lists[r->list].command);
    struct ha_command query = { .has_command = false };
    SET(&query, command, (struct slice){ command, (size_t)size });
    SET(&query, session, r->session);
    ask_ingest_ask(actor, &query, (int)self->config.ask_ms, on_list, r->list);
}

static void on_settled(struct self *self, actor_t *actor, int64_t tag)
{
    (void)tag;
    self->is_settling = false;
    if (!self->is_live || self->refresh.is_on)
        return;
    actor_cancel(actor, on_retry, 0);
    self->refresh = (struct refresh){ .is_on = true, .session = self->session, .changes = self->changes };
    ask_next(self, actor);
}

/* Changes come in groups: gather them, but never longer than settle_ms from the first. */
static void settle(struct self *self, actor_t *actor)
{
    if (!self->is_live || self->is_settling || self->refresh.is_on)
        return;
    self->is_settling = true;
    actor_after(actor, (int)self->config.settle_ms, on_settled, 0);
}

static int on_session(struct self *self, actor_t *actor, const struct ingest_session *m)
{
    self->is_live = !strcmp(m->state, "live");
    self->session = m->session;
    self->changes = m->registry_changes;
    bool is_new = !self->is_read || self->session != self->read_session || self->changes != self->read_changes;
    if (self->is_live && is_new)
        settle(self, actor);
    return OK;
}

/* --- life ------------------------------------------------------------------------------------- */

/* Nothing is known and nobody can be asked: say so, or what was captured before would wait for ever. */
static void on_first_wait(struct self *self, actor_t *actor, int64_t tag)
{
    (void)tag;
    if (self->has_mark)
        return;
    if (self->refresh.is_on || self->is_settling) {
        actor_after(actor, FIRST_WAIT_MS, on_first_wait, 0);
        return;
    }
    actor_warn(actor, "nothing is known of the registry and Home Assistant cannot be asked");
    publish_mark(self, actor, 0, 0, true);
}

static int publish_known(struct self *self, actor_t *actor)
{
    static const enum table order[] = { AREAS, DEVICES, ENTITIES };
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (metadata_each(self->metadata, order[i], publish_row, self)) {
            actor_error(actor, "metadata.db: %s", metadata_why(self->metadata));
            return 111;
        }
    count_rows(self);
    if (self->stats.devices || self->stats.entities || metadata_count(self->metadata, AREAS, false))
        publish_mark(self, actor, 0, 0, false);
    else
        actor_after(actor, FIRST_WAIT_MS, on_first_wait, 0);
    return 0;
}

static int open_registry(struct self *self, actor_t *actor)
{
    char path[600];
    struct opened how;
    self->actor = actor;
    self->retry_ms = RETRY_MIN_MS;
    msgpack_sbuffer_init(&self->pool);
    if (actor_path(actor, path, sizeof path, "metadata.db")) {
        actor_error(actor, "the path of the data directory is too long");
        return 100;
    }
    self->metadata = metadata_open(path, &how);
    if (!self->metadata) {
        actor_error(actor, "%s: %s", path, how.why);
        return 111;
    }
    if (how.moved[0])
        actor_error(actor, "metadata.db was damaged (%s): it is now %s, a new one is made from Home Assistant",
            how.why, how.moved);
    return publish_known(self, actor);
}

static enum health tell_health(struct self *self, actor_t *actor, char *why, size_t size)
{
    (void)actor;
    if (self->has_mark && !self->is_partial)
        return HEALTHY;
    snprintf(why, size, "%s", self->has_mark ? "a registry of Home Assistant could not be read" : "nothing read yet");
    return DEGRADED;
}

static void close_registry(struct self *self, actor_t *actor)
{
    (void)actor;
    metadata_close(&self->metadata);
    msgpack_sbuffer_destroy(&self->pool);
}

/* --- services ------------------------------------------------------------------------------------ */

static int on_devices(struct self *self, actor_t *actor, const struct devices_query *q, rows_t *rows, struct page *end)
{
    return answer_devices(self->metadata, actor, q, rows, end);
}

static int on_device(struct self *self, actor_t *actor, const struct device_query *q, struct device_row *reply)
{
    return answer_device(self->metadata, actor, q, reply, &self->pool);
}

static int on_entities(struct self *self, actor_t *actor, const struct entities_query *q, rows_t *rows,
    struct page *end)
{
    return answer_entities(self->metadata, actor, q, rows, end);
}

static int on_entity(struct self *self, actor_t *actor, const struct entity_query *q, struct entity_row *reply)
{
    return answer_entity(self->metadata, actor, q, reply, &self->pool);
}

static int on_areas(struct self *self, actor_t *actor, const struct areas_query *q, rows_t *rows, struct page *end)
{
    return answer_areas(self->metadata, actor, q, rows, end);
}

static int on_entries(struct self *self, actor_t *actor, const struct entries_query *q, rows_t *rows, struct page *end)
{
    return answer_entries(self->metadata, actor, q, rows, end);
}

static int on_analytics(struct self *self, actor_t *actor, const struct platform_query *q,
    struct platform_analytics *reply)
{
    return answer_analytics(self->metadata, actor, q, reply, &self->pool);
}

static const struct handler handlers[] = {
    ON(ingest_session, on_session),
    ANSWER(registry_devices, on_devices),
    ANSWER(registry_device_get, on_device),
    ANSWER(registry_entities, on_entities),
    ANSWER(registry_entity_get, on_entity),
    ANSWER(registry_areas, on_areas),
    ANSWER(registry_entries, on_entries),
    ANSWER(registry_analytics, on_analytics),
    { NULL, NULL },
};

const struct actor_spec actor_spec = {
    .name = "registry",
    .doc = "Devices, entities, areas, floors, labels and config entries",
    .state = sizeof(struct self),
    .config = SECTION(config, registry_config),
    .stats = SECTION(stats, registry_stats),
    .handlers = handlers,
    .open = open_registry,
    .health = tell_health,
    .close = close_registry,
};

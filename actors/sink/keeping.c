/* keeping.c - what the sink does for its store while no batch waits: old rows are sealed, attribute sets packed, both looked at. */
#include "keeping.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { REST_US = 10000, PAUSE = 4 /* steps of pause for one of work */, IDLE_US = 60000000, LOOK_US = 2000000, BAD_SHOWN = 100 };

static int64_t elapsed_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void keeping_open(struct keeping *self, store_t *store)
{
    struct store_sealed totals;
    *self = (struct keeping){ 0 };
    if (store_sealed_totals(store, &totals) == STORE_OK)
        self->bad = totals.bad;
    store_bad_sets(store, 0, NULL, NULL, &self->bad_sets);
}

void keeping_ask(struct keeping *self)
{
    self->is_asked = true;
    self->is_partly = self->verified > 0 || self->at != AT_CHUNKS;
    self->look_us = 0;
}

static int64_t pause_us(int64_t begun_us)
{
    return REST_US + PAUSE * (elapsed_us() - begun_us);
}

static void seal(struct keeping *self, actor_t *actor, store_t *store, const struct sink_config *config, struct sink_stats *stats)
{
    int64_t begun_us = elapsed_us();
    enum store_result result = store_seal(store, actor_now_us(actor), config->seal_after_s * 1000000);
    if (result == STORE_MISSING)
        result = store_pack(store);
    if (result == STORE_TROUBLE)
        actor_warn(actor, "old rows cannot be sealed, they stay as they are: %s", store_why(store));
    stats->seal_steps += result == STORE_OK;
    self->due_us = actor_clock_us(actor) + (result == STORE_OK ? pause_us(begun_us) : IDLE_US);
}

static void note(struct keeping *self, actor_t *actor, const struct store_looked *looked)
{
    self->verified++;
    if (!looked->is_news)
        return;
    self->bad += looked->is_bad ? 1 : -1;
    if (looked->is_bad)
        actor_error(actor, "chunk %lld is damaged: it is kept, but its %lld rows are in no answer", (long long)looked->chunk, (long long)looked->rows);
    else
        actor_info(actor, "chunk %lld can be read again", (long long)looked->chunk);
}

static enum store_result look_at_sets(struct keeping *self, actor_t *actor, store_t *store)
{
    struct store_looked_sets looked;
    enum store_result result = store_verify_sets(store, &looked);
    self->bad_sets += looked.bad - looked.well_again;
    if (looked.bad > 0)
        actor_error(actor, "attribute set %lld is damaged (%lld are new): rows are answered without it", (long long)looked.one, (long long)looked.bad);
    else if (looked.well_again > 0)
        actor_info(actor, "%lld attribute sets can be read again", (long long)looked.well_again);
    return result;
}

static enum store_result look_at_words(struct keeping *self, actor_t *actor, store_t *store)
{
    struct store_looked_words looked;
    enum store_result result = store_verify_words(store, &looked);
    for (size_t i = 0; i < looked.bad_count; i++) {
        actor_error(actor, "%s %lld is damaged: rows are answered without it", looked.bad[i].kind, (long long)looked.bad[i].id);
        if (self->found_words < LOOKED_BAD)
            self->words[self->found_words] = looked.bad[i];
        self->found_words++;
    }
    if (self->bad_words < self->found_words || result == STORE_MISSING)
        self->bad_words = self->found_words;
    return result;
}

/* A chunk, or some sets or words. STORE_MISSING: those were all. */
static enum store_result look_at_some(struct keeping *self, actor_t *actor, store_t *store, struct sink_stats *stats)
{
    struct store_looked looked;
    enum store_result result = self->at == AT_CHUNKS ? store_verify(store, &looked) : STORE_MISSING;
    if (result == STORE_OK) {
        note(self, actor, &looked);
        stats->verified++;
    }
    if (result == STORE_MISSING && self->at == AT_CHUNKS)
        self->at = AT_SETS;
    if (result == STORE_MISSING && self->at == AT_SETS && (result = look_at_sets(self, actor, store)) == STORE_MISSING) {
        self->at = AT_WORDS;
        self->found_words = 0;
    }
    return result == STORE_MISSING ? look_at_words(self, actor, store) : result;
}

static void look(struct keeping *self, actor_t *actor, store_t *store, struct sink_stats *stats)
{
    int64_t begun_us = elapsed_us(), now = actor_clock_us(actor);
    enum store_result result = look_at_some(self, actor, store, stats);
    if (result == STORE_OK) {
        self->look_us = now + (self->is_asked ? pause_us(begun_us) : LOOK_US);
        return;
    }
    if (result == STORE_TROUBLE)
        actor_warn(actor, "what is packed cannot be looked at: %s", store_why(store));
    self->at = AT_CHUNKS;
    bool goes_on = self->is_partly && result == STORE_MISSING;
    self->look_us = goes_on ? now : now + IDLE_US;
    self->is_asked = goes_on;
    self->is_partly = false;
    self->verified = 0;
    if (result == STORE_MISSING)
        self->verified_at = actor_now_us(actor);
}

int keeping_step(struct keeping *self, actor_t *actor, store_t *store, const struct sink_config *config, struct sink_stats *stats)
{
    int64_t now = actor_clock_us(actor);
    if (config->seal_after_s > 0 && now >= self->due_us)
        seal(self, actor, store, config, stats);
    else if (now >= self->look_us)
        look(self, actor, store, stats);
    SET(stats, bad_chunks, self->bad);
    SET(stats, bad_sets, self->bad_sets);
    SET(stats, bad_words, self->bad_words);
    int64_t next = config->seal_after_s > 0 && self->due_us < self->look_us ? self->due_us : self->look_us;
    return next <= now ? 1 : (int)((next - now + 999) / 1000);
}

/* --- shown ----------------------------------------------------------------------------------------- */

struct showing { msgpack_sbuffer *to; int count; };

static void write_chunk(void *owner, const struct store_bad_chunk *chunk)
{
    struct showing *showing = owner;
    char text[128];
    int size = snprintf(text, sizeof text, "%s{\"chunk\":%lld,\"%s\":", showing->count++ ? "," : "", (long long)chunk->chunk, chunk->is_state ? "entity_id" : "event_type");
    msgpack_sbuffer_write(showing->to, text, (size_t)size);
    json_write_text(chunk->name, showing->to);
    char first[TIME_TEXT], last[TIME_TEXT];
    time_text(chunk->first, first);
    time_text(chunk->last, last);
    size = snprintf(text, sizeof text, ",\"first\":\"%s\",\"last\":\"%s\",\"rows\":%lld}", first, last, (long long)chunk->rows);
    msgpack_sbuffer_write(showing->to, text, (size_t)size);
}

static void write_set(void *owner, int64_t id)
{
    struct showing *showing = owner;
    char text[48];
    int size = snprintf(text, sizeof text, "%s{\"attribute_set\":%lld}", showing->count++ ? "," : "", (long long)id);
    msgpack_sbuffer_write(showing->to, text, (size_t)size);
}

static void write_word(struct showing *showing, const struct store_bad_word *word)
{
    char text[64];
    int size = snprintf(text, sizeof text, "%s{\"%s\":%lld}", showing->count++ ? "," : "", word->kind, (long long)word->id);
    msgpack_sbuffer_write(showing->to, text, (size_t)size);
}

void keeping_show(const struct keeping *self, store_t *store, struct store_view *view, msgpack_sbuffer *pool)
{
    struct store_sealed totals = { 0 };
    struct showing showing = { pool, 0 };
    int64_t bad_sets = 0;
    store_sealed_totals(store, &totals);
    msgpack_sbuffer_clear(pool);
    msgpack_sbuffer_write(pool, "[", 1);
    store_bad_chunks(store, BAD_SHOWN, write_chunk, &showing);
    store_bad_sets(store, BAD_SHOWN, write_set, &showing, &bad_sets);
    for (int64_t i = 0; i < self->bad_words && i < LOOKED_BAD; i++)
        write_word(&showing, &self->words[i]);
    msgpack_sbuffer_write(pool, "]", 1);
    SET(view, bytes, store_bytes(store));
    SET(view, chunks, totals.chunks);
    SET(view, sealed_rows, totals.rows);
    SET(view, sealed_bytes, totals.bytes);
    SET(view, bad_chunks, totals.bad);
    SET(view, bad_sets, bad_sets);
    SET(view, bad_words, self->bad_words);
    SET(view, bad, ((struct slice){ pool->data, pool->size }));
    SET(view, verifying, self->is_asked);
    SET(view, verified, self->verified);
    if (self->verified_at > 0)
        SET(view, verified_at, self->verified_at);
}

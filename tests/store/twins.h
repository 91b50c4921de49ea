/* twins.h - two stores that take the same events; the rows of one are sealed now and then. */
#ifndef TWINS_H
#define TWINS_H

#include "inside.h"
#include "random_events.h"
#include "rules.h"
#include "samples.h"

#include <unistd.h>

enum { SEALED, PLAIN, BOTH };
struct twins { char directory[64], paths[BOTH][96]; store_t *writers[BOTH], *readers[BOTH]; int64_t now; };

static inline store_t *twin_open(const char *path, bool writer)
{
    const char *why = "";
    store_t *store = store_open(&(struct store_options){ .path = path, .writer = writer, .cache_bytes = 1 << 20 }, &why);
    if (!store)
        fprintf(stderr, "%s\n", why);
    assert(store);
    return store;
}

static inline struct twins *twins_new(void)
{
    struct twins *t = calloc(1, sizeof *t);
    assert(t);
    strcpy(t->directory, "/tmp/test-twins-XXXXXX");
    char *made = mkdtemp(t->directory);
    assert(made);
    (void)made;
    for (int i = 0; i < BOTH; i++) {
        snprintf(t->paths[i], sizeof t->paths[i], "%s/%d.db", t->directory, i);
        t->writers[i] = twin_open(t->paths[i], true);
        t->readers[i] = twin_open(t->paths[i], false);
    }
    t->now = START_US + INT64_C(40) * 86400 * 1000000;
    return t;
}

static inline int twins_destroy(struct twins *t)
{
    char command[128];
    for (int i = 0; i < BOTH; i++) {
        store_close(&t->readers[i]);
        store_close(&t->writers[i]);
    }
    snprintf(command, sizeof command, "rm -rf %s", t->directory);
    free(t);
    return system(command);
}

/* All that is older than that, as if a month had passed; so many steps of it at most. */
static inline int64_t twins_seal(struct twins *t, int64_t until, int64_t steps)
{
    int64_t taken = 0;
    enum store_result result = STORE_OK;
    t->now += INT64_C(7200000000);
    while (taken < steps && (result = store_seal(t->writers[SEALED], t->now, t->now - until)) == STORE_OK)
        taken++;
    if (result != STORE_OK && result != STORE_MISSING)
        fprintf(stderr, "%s\n", store_why(t->writers[SEALED]));
    for (; result == STORE_MISSING && taken < steps && store_pack(t->writers[SEALED]) == STORE_OK; taken++)
        ;
    assert(result == STORE_OK || result == STORE_MISSING);
    return taken;
}

/* --- the same question to both: what comes back is one text ---------------------------------------------- */

struct said { msgpack_sbuffer text; int64_t left; };

static inline int say_event(void *owner, const struct event_full *e)
{
    struct said *said = owner;
    if (said->left-- == 0)
        return 1;
    msgpack_sbuffer one = { 0 };
    encoded(e, &one);
    msgpack_sbuffer_write(&said->text, one.data, one.size);
    msgpack_sbuffer_write(&said->text, e->id, e->id_size);
    msgpack_sbuffer_destroy(&one);
    return 0;
}

static inline void say_number(struct said *said, int64_t n)
{
    char text[32];
    int size = snprintf(text, sizeof text, " %lld ", (long long)n);
    msgpack_sbuffer_write(&said->text, text, (size_t)size);
}

static inline int say_chain(void *owner, const struct chain_row *row)
{
    struct said *said = owner;
    say_number(said, row->depth);
    msgpack_sbuffer_write(&said->text, row->id, row->id_size);
    return 0;
}

static inline int say_active(void *owner, const struct active_row *row)
{
    struct said *said = owner;
    say_number(said, row->last_activity);
    msgpack_sbuffer_write(&said->text, row->entity_id, row->entity_id_size);
    return 0;
}

static inline int say_type(void *owner, const struct type_row *row)
{
    struct said *said = owner;
    say_number(said, row->count);
    msgpack_sbuffer_write(&said->text, row->event_type, row->event_type_size);
    return 0;
}

#endif

/* surroundings.c - what went on outside when a row was: readings, time of day, where the home is. Kept once, referred to by number.
 *
 * A row of `reading` is either a reading's text, or a form byte and: the numbers of six of them (0: none), the time of day
 * and the home's place. So a source that says something new costs its own text and some twenty bytes, whatever the others say. */
#include "inside.h"
#include "pack.h"

#include "sun.h"

#include <stdlib.h>

enum { FORM = 1, PARTS = 6, NORTH = 9001, EAST = 18001 };

#define PART(member) { offsetof(struct event_full, member), offsetof(struct event_full, has_##member) }
static const struct { size_t at, has; } parts[PARTS] = { PART(weather), PART(carbon), PART(price), PART(air), PART(occupancy), PART(meter) };
#undef PART

struct whole { int64_t parts[PARTS]; char time_of_day[13]; uint8_t time_of_day_size; bool has_place; int16_t north, east; };

struct surroundings {
    struct word_place places[PARTS], place; /* of the last row that was written */
    struct whole written, read;
    int64_t id;              /* of the last one read; 0: none */
    msgpack_sbuffer texts;   /* its readings, one after the other */
    size_t sizes[PARTS];
    bool has[PARTS];
    struct sun sun;
};

static struct surroundings *of_store(store_t *store)
{
    if (!store->surroundings) {
        store->surroundings = calloc(1, sizeof *store->surroundings);
        assert(store->surroundings);
        store->surroundings->sun.slot = -1;
        msgpack_sbuffer_init(&store->surroundings->texts);
    }
    return store->surroundings;
}

void surroundings_forget(store_t *store)
{
    struct surroundings *self = store->surroundings;
    if (!self)
        return;
    self->id = 0;
    self->place = (struct word_place){ 0 };
    memset(self->places, 0, sizeof self->places);
}

void surroundings_close(store_t *store)
{
    if (store->surroundings)
        msgpack_sbuffer_destroy(&store->surroundings->texts);
    free(store->surroundings);
    store->surroundings = NULL;
}

/* --- writing -------------------------------------------------------------------------------------- */

static struct slice part_of(const struct event_full *e, int i)
{
    const char *base = (const char *)e;
    return *(const bool *)(base + parts[i].has) ? *(const struct slice *)(const void *)(base + parts[i].at) : (struct slice){ NULL, 0 };
}

static enum store_result put_parts(store_t *store, const struct event_full *e, struct whole *whole)
{
    struct surroundings *self = of_store(store);
    enum store_result result = STORE_OK;
    for (int i = 0; i < PARTS && result == STORE_OK; i++) {
        struct slice text = part_of(e, i);
        if (text.size == 0)
            continue;
        result = word_put(store, READING, text, &self->places[i]);
        whole->parts[i] = self->places[i].id;
    }
    return result;
}

static void whole_write(const struct whole *whole, msgpack_sbuffer *out)
{
    pack_number(out, FORM);
    for (int i = 0; i < PARTS; i++)
        pack_number(out, (uint64_t)whole->parts[i]);
    pack_slice(out, (struct slice){ whole->time_of_day, whole->time_of_day_size });
    pack_number(out, whole->has_place ? (uint64_t)(whole->north + NORTH) : 0);
    pack_number(out, whole->has_place ? (uint64_t)(whole->east + EAST) : 0);
}

enum store_result surroundings_put(store_t *store, const struct event_full *e, int64_t *id)
{
    struct surroundings *self = of_store(store);
    struct whole whole;
    memset(&whole, 0, sizeof whole); /* it is compared as bytes */
    enum store_result result = put_parts(store, e, &whole);
    if (e->has_time_of_day) {
        whole.time_of_day_size = (uint8_t)e->time_of_day_size;
        memcpy(whole.time_of_day, e->time_of_day, e->time_of_day_size);
    }
    if (e->has_home_latitude && e->has_home_longitude) {
        whole.has_place = true;
        whole.north = (int16_t)e->home_latitude;
        whole.east = (int16_t)e->home_longitude;
    }
    static const struct whole nothing;
    *id = 0;
    if (result != STORE_OK || memcmp(&whole, &nothing, sizeof whole) == 0)
        return result;
    if (!word_at(&store->words[READING], &self->place) || memcmp(&whole, &self->written, sizeof whole) != 0) {
        buffer_clear(&store->scratch);
        whole_write(&whole, &store->scratch);
        result = word_put(store, READING, (struct slice){ store->scratch.data, store->scratch.size }, &self->place);
        self->written = whole;
    }
    *id = self->place.id;
    return result;
}

/* --- reading ---------------------------------------------------------------------------------------- */

static int whole_read(struct slice bytes, struct whole *whole)
{
    struct unpack in = unpack_of(bytes);
    memset(whole, 0, sizeof *whole);
    if (unpack_number(&in) != FORM)
        return -1;
    for (int i = 0; i < PARTS; i++)
        whole->parts[i] = (int64_t)unpack_number(&in);
    struct slice time_of_day = unpack_slice(&in);
    uint64_t north = unpack_number(&in), east = unpack_number(&in);
    if (in.bad || time_of_day.size >= sizeof whole->time_of_day || north > 2 * NORTH || east > 2 * EAST)
        return -1;
    whole->time_of_day_size = (uint8_t)time_of_day.size;
    if (time_of_day.size > 0)
        memcpy(whole->time_of_day, time_of_day.data, time_of_day.size);
    whole->has_place = north > 0 && east > 0;
    whole->north = (int16_t)((int)north - NORTH);
    whole->east = (int16_t)((int)east - EAST);
    return 0;
}

static enum store_result load(store_t *store, struct surroundings *self, int64_t id)
{
    struct slice bytes;
    self->id = 0;
    enum store_result result = word_get(store, READING, id, &bytes);
    if (result == STORE_OK && whole_read(bytes, &self->read) != 0)
        result = trouble(store, "a reading is damaged");
    buffer_clear(&self->texts);
    for (int i = 0; i < PARTS && result == STORE_OK; i++) {
        self->has[i] = false;
        if (self->read.parts[i] == 0)
            continue;
        result = word_get(store, READING, self->read.parts[i], &bytes);
        self->has[i] = result == STORE_OK;
        self->sizes[i] = bytes.size;
        if (result == STORE_OK)
            pack_bytes(&self->texts, bytes.data, bytes.size);
        result = result == STORE_BAD ? STORE_OK : result; /* damaged, and noted: that one is absent */
    }
    if (result == STORE_OK)
        self->id = id;
    return result;
}

/* Only what is kept together; who reads many rows reads the same again and again. */
enum store_result surroundings_get(store_t *store, int64_t id, struct event_full *e)
{
    struct surroundings *self = of_store(store);
    enum store_result result = self->id == id ? STORE_OK : load(store, self, id);
    const char *at = self->texts.data;
    char *base = (char *)e;
    if (result != STORE_OK)
        return result;
    for (int i = 0; i < PARTS; i++) {
        if (!self->has[i])
            continue;
        *(bool *)(base + parts[i].has) = true;
        *(struct slice *)(void *)(base + parts[i].at) = (struct slice){ at, self->sizes[i] };
        at += self->sizes[i];
    }
    if (self->read.time_of_day_size > 0)
        SET_TEXT(e, time_of_day, self->read.time_of_day, self->read.time_of_day_size);
    if (!self->read.has_place)
        return STORE_OK;
    SET(e, home_latitude, self->read.north);
    SET(e, home_longitude, self->read.east);
    SET(e, sun_elevation, sun_elevation(&self->sun, e->timestamp, self->read.north, self->read.east));
    return STORE_OK;
}

/* event_id.c - the id of an event: made from its identity, and enough to find it again. */
#include "event_id.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t n = (a ^ b) * UINT64_C(0x9e3779b97f4a7c15);
    return n ^ n >> 29;
}

/* Eight bytes at a step, the lowest first. */
uint64_t hash_bytes(uint64_t seed, struct slice bytes)
{
    uint64_t hash = seed ^ bytes.size, eight = 0;
    const uint8_t *at = bytes.data;
    size_t left = bytes.size;
    for (; left >= 8; left -= 8, at += 8) {
        memcpy(&eight, at, 8);
        hash = mix(hash, le64toh(eight));
    }
    eight = 0;
    for (size_t i = 0; i < left; i++)
        eight |= (uint64_t)at[i] << 8 * i;
    hash = mix(hash, eight);
    return mix(hash, hash >> 32);
}

uint64_t series_hash(bool is_state, struct slice name)
{
    uint64_t hash = hash_bytes(HASH_SEED, (struct slice){ is_state ? "s" : "e", 1 });
    hash = hash_bytes(hash, name);
    return (hash ^ hash >> 48) & UINT64_C(0xffffffffffff);
}

struct event_key event_key(const struct event_full *e)
{
    bool removed = e->is_state && !e->has_state;
    uint64_t rest = hash_bytes(HASH_SEED, removed ? slice_of("removed") : slice_of(""));
    if (e->has_context_id)
        rest = hash_bytes(rest, e->context_id);
    if (!e->is_state && e->has_data)
        rest = hash_bytes(rest, e->data);
    return (struct event_key){
        .series = series_hash(e->is_state, e->is_state ? e->entity_id : e->event_type),
        .at = e->is_state && !removed && e->has_last_updated ? e->last_updated : e->timestamp,
        .rest = (uint32_t)(rest ^ rest >> 32),
    };
}

void event_id_set(struct event_full *e)
{
    struct event_key key = event_key(e);
    char text[EVENT_ID];
    event_id_write(&key, text);
    int rc = SET_TEXT(e, id, text, EVENT_ID);
    assert(rc == 0);
    (void)rc;
}

static char *write_hex(char *to, size_t digits, uint64_t number)
{
    for (size_t i = digits; i-- > 0; number >>= 4)
        to[i] = "0123456789abcdef"[number & 15];
    return to + digits;
}

void event_id_write(const struct event_key *key, char to[EVENT_ID])
{
    to = write_hex(to, 12, key->series);
    *to++ = '-';
    to = write_hex(to, 15, (uint64_t)key->at);
    *to++ = '-';
    write_hex(to, 8, key->rest);
}

/* Lower-case hexadecimal digits only: one event has one id. */
static bool read_hex(const char *at, size_t digits, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < digits; i++) {
        static const char digits_text[] = "0123456789abcdef";
        const char *digit = memchr(digits_text, at[i], 16);
        if (!digit)
            return false;
        *number = *number << 4 | (uint64_t)(digit - digits_text);
    }
    return true;
}

int event_id_read(struct slice text, struct event_key *key)
{
    const char *at = text.data;
    uint64_t time, rest;
    if (text.size != EVENT_ID || at[12] != '-' || at[28] != '-')
        return -1;
    if (!read_hex(at, 12, &key->series) || !read_hex(at + 13, 15, &time) || !read_hex(at + 29, 8, &rest))
        return -1;
    key->at = (int64_t)time;
    key->rest = (uint32_t)rest;
    return 0;
}

/* canary.c - what a canary says and when it is looked for. */
#include "canary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_LOOK_US = 20000, LAST_LOOK_US = 1000000 };

const char *const way_names[WAYS] = { [WAY_HOME] = "home", [WAY_EDGE] = "edge" };

/* A ULID, as Home Assistant makes them: ten characters of time, sixteen that do not repeat. */
static void make_context(char to[33], int64_t now_us, uint64_t salt, uint64_t number)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint64_t parts[2] = { (salt + number * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9), salt ^ number };
    int64_t ms = now_us / 1000;
    for (int i = 9; i >= 0; i--, ms >>= 5)
        to[i] = digits[ms & 31];
    for (int i = 0; i < 16; i++)
        to[10 + i] = digits[(parts[i / 8] >> (8 + 5 * (i % 8))) & 31];
    to[26] = '\0';
}

void canary_begin(struct canaries *self, enum way way, int64_t now_us, int64_t clock_us)
{
    struct canary *canary = &self->of[way];
    *canary = (struct canary){ .sent_us = clock_us, .look_us = clock_us + FIRST_LOOK_US };
    snprintf(canary->id, sizeof canary->id, "%" PRIx64 "-%" PRId64, (uint64_t)self->salt & 0xffffffffffff, ++self->number);
    if (way == WAY_EDGE)
        make_context(canary->context, now_us, (uint64_t)self->salt, (uint64_t)self->number);
}

static void put(msgpack_sbuffer *to, const char *format, const char *a, const char *b, const char *c)
{
    char text[512];
    int size = snprintf(text, sizeof text, format, a, b, c);
    msgpack_sbuffer_write(to, text, (size_t)size);
}

void canary_command(const struct canary *canary, msgpack_sbuffer *to)
{
    put(to, "{\"type\":\"fire_event\",\"event_type\":\"" CANARY_TYPE "\",\"event_data\":{\"id\":\"%s\"}}%s%s", canary->id, "", "");
}

void canary_frame(const struct canary *canary, int64_t now_us, msgpack_sbuffer *to)
{
    char fired[TIME_TEXT];
    time_text(now_us, fired);
    put(to, "{\"type\":\"event\",\"event\":{\"event_type\":\"" CANARY_TYPE "\",\"data\":{\"id\":\"%s\"},\"origin\":\"LOCAL\",\"time_fired\":\"%s\","
        "\"context\":{\"id\":\"%s\",\"parent_id\":null,\"user_id\":null}}}", canary->id, fired, canary->context);
}

void canary_found(struct canaries *self, enum way way, int64_t clock_us)
{
    struct canary *canary = &self->of[way];
    self->latency_us[self->latencies++ % LATENCIES] = clock_us - canary->sent_us;
    self->missing_since_us[way] = 0;
    canary->sent_us = 0;
}

void canary_not_yet(struct canary *canary, int64_t clock_us)
{
    int64_t wait_us = (clock_us - canary->sent_us) / 3;
    canary->look_us = clock_us + (wait_us < FIRST_LOOK_US ? FIRST_LOOK_US : wait_us > LAST_LOOK_US ? LAST_LOOK_US : wait_us);
}

static int by_size(const void *a, const void *b)
{
    const int64_t *one = a, *other = b;
    return (*one > *other) - (*one < *other);
}

bool canary_percentile(const struct canaries *self, int percent, int64_t *us)
{
    int64_t sorted[LATENCIES];
    size_t count = self->latencies < LATENCIES ? self->latencies : LATENCIES;
    if (count == 0)
        return false;
    memcpy(sorted, self->latency_us, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_size);
    *us = sorted[(count * (size_t)percent + 99) / 100 - 1];
    return true;
}

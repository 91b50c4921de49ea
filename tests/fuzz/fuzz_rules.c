/* fuzz_rules.c - anything as rules, and as a glob with a name.
 *
 * The first byte chooses. What must hold: rules that were taken are written as rules that say the
 * same; what is refused names a field and a reason; a glob ends. */
#include "rules.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct event_full an_event(bool is_state, const char *entity_id)
{
    struct event_full e;
    schema_clear(event_full_schema(), &e);
    SET(&e, is_state, is_state);
    SET(&e, event_type, slice_of(is_state ? "state_changed" : "x"));
    SET(&e, entity_id, slice_of(entity_id));
    SET(&e, state, slice_of("1"));
    SET(&e, device_id, slice_of("d"));
    SET(&e, area_id, slice_of("a"));
    SET(&e, integration, slice_of("i"));
    SET(&e, labels, slice_of("[\"l\",\"m\"]"));
    return e;
}

static void check_decision(const rules_t *rules, const rules_t *again, const struct event_full *e)
{
    struct decision one = rules_decide(rules, e), two = rules_decide(again, e);
    assert(one.is_dropped == two.is_dropped && one.rule == two.rule && one.thin == two.thin);
    assert(one.rule >= NO_RULE && (one.rule == NO_RULE || (size_t)one.rule < rules_count(rules)));
    if (one.thin != NO_RULE)
        assert(rules_thinning(rules, one.thin)->interval_us > 0 || rules_thinning(rules, one.thin)->deadband > 0.0);
    if (event_is_kept(e))
        assert(!one.is_dropped);
}

static void try_rules(struct slice text)
{
    struct fault fault = { "", "" };
    rules_t *rules = rules_read(text, &fault);
    if (!rules) {
        assert(strlen(fault.field) >= 5 && strlen(fault.why) > 0);
        return;
    }
    msgpack_sbuffer out, out_again;
    msgpack_sbuffer_init(&out);
    msgpack_sbuffer_init(&out_again);
    rules_write(rules, NULL, &out);
    rules_t *again = rules_read((struct slice){ out.data, out.size }, &fault);
    if (again) { /* only what grew over its bound by being written with escapes is not */
        rules_write(again, NULL, &out_again);
        assert(out.size == out_again.size && memcmp(out.data, out_again.data, out.size) == 0);
        struct event_full events[] = { an_event(true, "a.b"), an_event(true, "sensor.x"), an_event(false, "a.b"), an_event(true, "") };
        events[3].has_state = false;
        for (size_t i = 0; i < 4; i++)
            check_decision(rules, again, &events[i]);
    } else {
        assert(out.size > RULES_BYTES);
    }
    rules_destroy(&rules);
    rules_destroy(&again);
    msgpack_sbuffer_destroy(&out);
    msgpack_sbuffer_destroy(&out_again);
}

/* What glob_fits must be, by trying everything. */
static bool fits_slowly(const char *p, size_t p_size, const char *n, size_t n_size)
{
    if (p_size == 0)
        return n_size == 0;
    if (p[0] == '*')
        return fits_slowly(p + 1, p_size - 1, n, n_size) || (n_size > 0 && fits_slowly(p, p_size, n + 1, n_size - 1));
    return n_size > 0 && (p[0] == '?' || p[0] == n[0]) && fits_slowly(p + 1, p_size - 1, n + 1, n_size - 1);
}

static void try_glob(const uint8_t *data, size_t size)
{
    size_t cut = size ? data[0] % size : 0;
    if (size < 2)
        return;
    char *pattern = malloc(cut + 1), *name = malloc(size - cut);
    assert(pattern && name);
    memcpy(pattern, data + 1, cut);
    memcpy(name, data + 1 + cut, size - 1 - cut);
    bool fits = glob_fits((struct slice){ pattern, cut }, (struct slice){ name, size - 1 - cut });
    if (size < 16 && !memchr(pattern, '[', cut))
        assert(fits == fits_slowly(pattern, cut, name, size - 1 - cut));
    free(pattern);
    free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 4 == 0)
        try_glob(data + 1, size - 1);
    else
        try_rules((struct slice){ data + 1, size - 1 });
    return 0;
}

/* upstream.h - what providers say, for the tests of a source: fixtures, and what becomes of them when
 * one value after the other is spoilt. Include it behind probe.h and cmocka. */
#ifndef UPSTREAM_H
#define UPSTREAM_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* tests/upstream/fixtures/<name>, which is JSON without a suffix; freed by the caller. Tests run in their own folder. */
static inline char *fixture(const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "../upstream/fixtures/%s%s", name, strchr(name, '.') ? "" : ".json");
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    return text;
}

/* The open request is answered with a fixture. */
static inline void answer(probe_t *probe, const char *name)
{
    char *text = fixture(name);
    probe_fetched(probe, 200, text);
    free(text);
}

/* A source with these settings, its first request open. */
static inline probe_t *begin(const char *const settings[])
{
    probe_t *probe = probe_new(settings);
    assert_non_null(probe);
    probe_tick(probe);
    return probe;
}

/* What it said last of how it does. */
static inline const struct source_row *status(probe_t *probe)
{
    return probe_published(probe, &source_status_contract, probe_published_count(probe, &source_status_contract) - 1);
}

static inline size_t value_size(const char *at)
{
    if (*at != '"')
        return strcspn(at, ",]}");
    const char *end = at + 1;
    while (*end && *end != '"')
        end += *end == '\\' ? 2 : 1;
    return (size_t)(end - at) + 1;
}

/* Calls `take` with the text once for each number, word and literal in it and each spoilt form of
 * that. Returns how many there were. */
typedef void spoilt_fn(void *owner, const char *text);
static inline size_t spoil(const char *text, spoilt_fn *take, void *owner)
{
    static const char *const forms[] = { "null", "{}", "[]", "[{}]", "\"\"", "\"none\"", "true", "-1e308", "1e308", "-999", "9223372036854775808" };
    size_t count = 0;
    char *spoilt = malloc(strlen(text) + 64);
    assert_non_null(spoilt);
    for (const char *at = text; *at; at++) {
        if (*at == '"' && at[value_size(at)] == ':') { /* a key */
            at += value_size(at);
            continue;
        }
        if (strchr("{}[],:\n ", *at))
            continue;
        size_t size = value_size(at);
        for (size_t i = 0; i < sizeof forms / sizeof *forms; i++, count++) {
            sprintf(spoilt, "%.*s%s%s", (int)(at - text), text, forms[i], at + size);
            take(owner, spoilt);
        }
        at += size - 1;
    }
    free(spoilt);
    return count;
}

/* What no parser may choke on. */
static inline void each_bad_body(spoilt_fn *take, void *owner)
{
    static const char *const bodies[] = { "", "{}", "[]", "null", "\"x\"", "<html>504</html>", "{\"data\":", "[[]]", "{\"data\":null}", "{\"error\":true}" };
    char deep[20001];
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        take(owner, bodies[i]);
    memset(deep, '[', 10000);
    memset(deep + 10000, ']', 10000);
    deep[20000] = '\0';
    take(owner, deep);
}

#endif

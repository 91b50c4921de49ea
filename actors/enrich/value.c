/* value.c - what a state's text means: a number, true or false, or nothing but text. */
#include "value.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_NUMBER = 320 }; /* digits; Home Assistant's own states end at 255 characters */

/* Domains in which on and off (and the other words below) are yes and no. Not those where
 * they are one mode among others: climate, media_player, cover, water_heater. */
static const struct { const char *name; size_t size; } yes_no_domains[] = {
    { "light", 5 }, { "switch", 6 }, { "binary_sensor", 13 }, { "input_boolean", 13 }, { "automation", 10 },
    { "fan", 3 }, { "script", 6 }, { "update", 6 }, { "remote", 6 }, { "humidifier", 10 }, { "siren", 5 },
    { "schedule", 8 }, { "calendar", 8 }, { "group", 5 },
};

static const struct { const char *word; bool meaning; } words[] = {
    { "on", true }, { "off", false }, { "true", true }, { "false", false }, { "1", true }, { "0", false },
    { "yes", true }, { "no", false }, { "enabled", true }, { "disabled", false }, { "active", true },
    { "inactive", false },
};

static bool is_yes_no(struct slice domain)
{
    for (size_t i = 0; i < sizeof yes_no_domains / sizeof *yes_no_domains; i++) {
        if (yes_no_domains[i].size == domain.size && !memcmp(yes_no_domains[i].name, domain.data, domain.size))
            return true;
    }
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Lower case without blanks around it, as the words are compared. False if it cannot be one. */
static bool plain_word(struct slice text, char to[16])
{
    const char *at = text.data, *end = at + text.size;
    while (at < end && is_blank(*at))
        at++;
    while (at < end && is_blank(end[-1]))
        end--;
    if (at == end || end - at > 15)
        return false;
    size_t n = 0;
    for (; at < end; at++)
        to[n++] = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
    to[n] = '\0';
    return strlen(to) == n;
}

static bool read_word(struct slice state, struct value *to)
{
    char word[16];
    if (!plain_word(state, word))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i].word, word)) {
            to->json = slice_of(words[i].meaning ? "true" : "false");
            return true;
        }
    return false;
}

static size_t count_digits(const char *at, const char *end)
{
    const char *from = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return (size_t)(at - from);
}

/* The parts of [+-] digits [. digits] [e [+-] digits], with a digit on one side of the dot. */
struct parts { bool minus, plus, dot, exponent; struct slice whole, fraction, tail; };

static bool split_number(struct slice text, struct parts *p)
{
    const char *at = text.data, *end = at + text.size;
    *p = (struct parts){ .minus = at < end && *at == '-', .plus = at < end && *at == '+' };
    at += p->minus || p->plus;
    p->whole = (struct slice){ at, count_digits(at, end) };
    at += p->whole.size;
    p->dot = at < end && *at == '.';
    at += p->dot;
    p->fraction = (struct slice){ at, p->dot ? count_digits(at, end) : 0 };
    at += p->fraction.size;
    p->tail = (struct slice){ at, (size_t)(end - at) };
    if (!p->whole.size && !p->fraction.size)
        return false;
    p->exponent = at < end && (*at == 'e' || *at == 'E');
    if (p->exponent) {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        size_t digits = count_digits(at, end);
        if (!digits)
            return false;
        at += digits;
    }
    return at == end;
}

static bool is_finite(struct slice text)
{
    char copy[LONGEST_NUMBER + 1];
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return isfinite(strtod(copy, NULL));
}

/* JSON wants no plus, no leading zero, and digits around the dot. */
static void write_number(const struct parts *p, struct value *to)
{
    struct slice whole = p->whole;
    while (whole.size > 1 && *(const char *)whole.data == '0')
        whole = (struct slice){ (const char *)whole.data + 1, whole.size - 1 };
    int n = snprintf(to->room, sizeof to->room, "%s%.*s%s%.*s%.*s", p->minus ? "-" : "",
        whole.size ? (int)whole.size : 1, whole.size ? (const char *)whole.data : "0", p->fraction.size ? "." : "",
        (int)p->fraction.size, (const char *)p->fraction.data, (int)p->tail.size, (const char *)p->tail.data);
    assert(n > 0 && (size_t)n < sizeof to->room);
    to->json = (struct slice){ to->room, (size_t)n };
}

static void write_long_number(struct slice text, struct value *to)
{
    char copy[LONGEST_NUMBER + 1];
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    int n = snprintf(to->room, sizeof to->room, "%.17g", strtod(copy, NULL));
    to->json = (struct slice){ to->room, (size_t)n };
}

static void read_number(struct slice state, struct value *to)
{
    struct parts p;
    if (!state.size || state.size > LONGEST_NUMBER || !split_number(state, &p))
        return;
    if ((p.exponent || state.size > 300) && !is_finite(state))
        return;
    to->is_number = true;
    bool is_json = !p.plus && p.whole.size && p.dot == (p.fraction.size > 0) &&
        (p.whole.size == 1 || *(const char *)p.whole.data != '0');
    if (state.size > VALUE_TEXT - 3)
        write_long_number(state, to);
    else if (is_json)
        to->json = state;
    else
        write_number(&p, to);
}

void value_read(struct slice domain, struct slice state, struct value *to)
{
    to->is_number = false;
    to->json = (struct slice){ NULL, 0 };
    if (state.size && is_yes_no(domain) && read_word(state, to))
        return;
    read_number(state, to);
}

double value_number(const struct value *self)
{
    double number;
    bool is_one = self->is_number && number_read(self->json, &number);
    assert(is_one); /* it has been read as one */
    return is_one ? number : 0;
}

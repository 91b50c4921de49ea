/* words.c - what the words of an event say of where somebody is. */
#include "words.h"

#include <ctype.h>
#include <string.h>

enum { TEXT_MAX = 4096 };

static const char wfh_words[] = "WFH,Work From Home,Home Office,Remote Work,Working From Home";
static const char home_words[] = "Home,House,Residence,Apartment";
static const char away_words[] = "Office,Work,Travel,Trip,Vacation,Out of Town,Business";
static const char vacation_words[] = "Vacation";

/* Letters of other scripts are two bytes or more, all of them beyond ASCII. */
static bool is_letter(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_gap(char c)
{
    return c == ' ' || c == '-' || (c >= '\t' && c <= '\r');
}

/* The end of the word in the text, or NULL: it is not there. */
static const char *match(struct slice word, const char *at, const char *end)
{
    const char *w = word.data, *last = w + word.size;
    for (; w < last; w++) {
        if (at == end)
            return NULL;
        if (is_gap(*w) && is_gap(*at)) {
            while (at < end && is_gap(*at))
                at++;
            continue;
        }
        if (toupper((unsigned char)*w) != toupper((unsigned char)*at))
            return NULL;
        at++;
    }
    return at;
}

static bool has_word(struct slice word, const char *text, const char *end)
{
    for (const char *at = text; at < end; at++) {
        const char *behind = at > text && is_letter(at[-1]) && is_letter(*at) ? NULL : match(word, at, end);
        if (behind && (behind == end || !is_letter(*behind) || !is_letter(behind[-1])))
            return true;
    }
    return false;
}

/* One of a list with commas. */
static bool has_any(const char *list, const char *text, const char *end)
{
    while (list && *list) {
        size_t size = strcspn(list, ",");
        struct slice word = { list, size };
        while (word.size && is_gap(*(const char *)word.data))
            word = (struct slice){ (const char *)word.data + 1, word.size - 1 };
        while (word.size && is_gap(((const char *)word.data)[word.size - 1]))
            word.size--;
        if (word.size && has_word(word, text, end))
            return true;
        list += size + (list[size] == ',');
    }
    return false;
}

void words_look(struct words *self, struct slice text, const struct own_words *own)
{
    const char *from = text.data, *end = from + (text.size < TEXT_MAX ? text.size : TEXT_MAX);
    if (text.size == 0)
        return;
    self->wfh = self->wfh || has_any(wfh_words, from, end) || has_any(own->wfh, from, end);
    self->home = self->home || has_any(home_words, from, end) || has_any(own->home, from, end);
    self->vacation = self->vacation || has_any(vacation_words, from, end) || has_any(own->vacation, from, end);
    self->away = self->away || self->vacation || has_any(away_words, from, end) || has_any(own->away, from, end);
}

const char *words_state(const struct words *self)
{
    return self->wfh ? "wfh" : self->home ? "home" : self->vacation ? "vacation" : self->away ? "away" : NULL;
}

double words_confidence(const struct words *self)
{
    if (self->wfh + self->home + self->away > 1)
        return 0.95; /* 0.85 and 0.1: one of them is at home */
    return self->wfh || self->home ? 0.85 : self->away ? 0.75 : 0.5;
}

bool state_is_home(const char *state)
{
    return state && (strcmp(state, "home") == 0 || strcmp(state, "wfh") == 0);
}

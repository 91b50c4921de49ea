/* home_assistant.c - the calendars that Home Assistant has, through its REST API.
 *
 * Not through ingest's WebSocket: there only the action calendar.get_events gives events, which is
 * itself an event of the house, stored each time; and what is asked there waits for the events, and
 * they for it. */
#include "calendar.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* --- settings --------------------------------------------------------------------------------------- */

static const struct { const char *prefix, *instead; } schemes[] = {
    { "http://", "http://" }, { "https://", "https://" }, { "ws://", "http://" }, { "wss://", "https://" },
};
static const char *const endings[] = { "/", "/websocket", "/api" };

static bool cut(char *text, const char *ending)
{
    size_t size = strlen(text), less = strlen(ending);
    bool is_there = size > less && strcmp(text + size - less, ending) == 0;
    if (is_there)
        text[size - less] = '\0';
    return is_there;
}

static int read_url(struct self *self, const char *url)
{
    *self->base = '\0';
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t size = strlen(schemes[i].prefix);
        if (strncasecmp(url, schemes[i].prefix, size) == 0 && url[size])
            snprintf(self->base, sizeof self->base, "%s%s", schemes[i].instead, url + size);
    }
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        while (cut(self->base, endings[i]))
            i = 0;
    return *self->base && !strpbrk(self->base, " \t\r\n\"?#@") ? 0 : -1;
}

int home_assistant_settings(struct self *self, const char **key, const char **why)
{
    const struct calendar_config *c = &self->config;
    bool is_app = !c->has_home_assistant_url && c->has_supervisor_token;
    const char *token = is_app ? c->supervisor_token : c->has_home_assistant_token ? c->home_assistant_token : "";
    *key = "home_assistant_url";
    *why = "home-assistant cannot be asked without it";
    if (!is_app && !c->has_home_assistant_url)
        return -1;
    *why = "must begin with http://, https://, ws:// or wss:// and hold neither user nor query";
    if (read_url(self, is_app ? "http://supervisor/core" : c->home_assistant_url))
        return -1;
    *key = "home_assistant_token";
    *why = "home-assistant cannot be asked without it";
    if (!*token || strpbrk(token, " \t\r\n"))
        return -1;
    snprintf(self->authorization, sizeof self->authorization, "Bearer %s", token);
    return 0;
}

/* --- asking --------------------------------------------------------------------------------------------- */

static void ask(source_t *source, struct fetch *fetch)
{
    struct self *self = source_self(source);
    fetch->headers[0] = (struct pair){ "Authorization", self->authorization };
    fetch->ca_file = self->config.has_ca_file ? self->config.ca_file : NULL;
    fetch->is_unverified = !self->config.tls_verify;
    fetch->is_unconditional = true;
}

static const char *base_of(const struct self *self)
{
    return self->config.has_url ? "" : self->base;
}

static int ask_list(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    if (poll_begin(source))
        return 1;
    ask(source, fetch);
    snprintf(path, size, "%s/api/calendars", base_of(source_self(source)));
    return 0;
}

static int ask_events(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    struct self *self = source_self(source);
    if (!self->has_zone || self->next == self->count)
        return 1;
    ask(source, fetch);
    snprintf(path, size, "%s/api/calendars/%s", base_of(self), self->names[self->next++]);
    time_text(self->from_us, self->words[0]);
    time_text(self->to_us, self->words[1]);
    fetch->query[0] = (struct pair){ "start", self->words[0] };
    fetch->query[1] = (struct pair){ "end", self->words[1] };
    return 0;
}

/* --- the list ----------------------------------------------------------------------------------------- */

static const char prefix[] = "calendar.";

/* An entity's id: it becomes part of a path. */
static bool is_entity(struct slice id)
{
    const char *at = id.data;
    if (id.size <= sizeof prefix - 1 || id.size >= CALENDAR_NAME || memcmp(at, prefix, sizeof prefix - 1) != 0)
        return false;
    for (size_t i = sizeof prefix - 1; i < id.size; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_", at[i]))
            return false;
    return true;
}

/* The next of a list with commas or spaces, its prefix put before it where that is missing. */
static bool next_chosen(const char **rest, char name[CALENDAR_NAME])
{
    *rest += strspn(*rest, ", ");
    size_t size = strcspn(*rest, ", ");
    bool is_whole = size >= sizeof prefix - 1 && memcmp(*rest, prefix, sizeof prefix - 1) == 0;
    snprintf(name, CALENDAR_NAME, "%s%.*s", is_whole ? "" : prefix, (int)(size < CALENDAR_NAME ? size : CALENDAR_NAME), *rest);
    *rest += size;
    return size > 0;
}

static void add(struct self *self, const char *name)
{
    if (self->count < CALENDARS_MAX)
        snprintf(self->names[self->count++], CALENDAR_NAME, "%s", name);
}

static int take_calendar(void *owner, struct json_value item)
{
    source_t *source = owner;
    char name[CALENDAR_NAME];
    if (item.kind == JSON_OBJECT && pick_text(source_json(source), item.raw, "entity_id", name, sizeof name) && is_entity(slice_of(name)))
        add(source_self(source), name);
    else
        source_odd(source, 1);
    return 0;
}

static void take_chosen(struct self *self)
{
    const char *rest = self->config.calendars;
    char name[CALENDAR_NAME];
    while (next_chosen(&rest, name))
        if (is_entity(slice_of(name)))
            add(self, name);
}

/* Which there are. Chosen ones are asked for as they are written: one that is not there fails, and is told. */
static int read_list(source_t *source, struct json_value root, struct fault *fault)
{
    struct self *self = source_self(source);
    *fault = (struct fault){ "", "is no list of calendars" };
    if (root.kind != JSON_ARRAY)
        return -1;
    self->count = 0;
    if (self->config.has_calendars)
        take_chosen(self);
    else
        json_each_item(source_json(source), root.raw, take_calendar, source);
    return 0;
}

/* --- events ------------------------------------------------------------------------------------------- */

static const char *const keys[] = { "start", "end", "summary", "location", "description" };

/* {"dateTime": ...}, {"date": ...}, or a text that is one of them. */
static bool read_moment(source_t *source, struct json_value value, int64_t *at_us, bool *is_day)
{
    static const char *const forms[] = { "dateTime", "date" };
    json_t *json = source_json(source);
    struct json_value of[2] = { value, { JSON_NOTHING, { "", 0 } } };
    struct slice text;
    if (value.kind == JSON_OBJECT && json_pick(json, value.raw, forms, 2, of))
        return false;
    return json_text(json, of[of[0].kind != JSON_TEXT], &text) && moment_of_text(source_self(source)->zone, text, at_us, is_day);
}

static struct slice text_of(source_t *source, struct json_value value)
{
    struct slice text;
    return json_text(source_json(source), value, &text) ? text : (struct slice){ "", 0 };
}

static int take_event(void *owner, struct json_value item)
{
    source_t *source = owner;
    struct self *self = source_self(source);
    struct json_value values[5];
    struct found found = { .is_all_day = false, .calendar = slice_of(self->names[self->next - 1]) };
    bool ends_as_day;
    if (item.kind != JSON_OBJECT || json_pick(source_json(source), item.raw, keys, 5, values)
            || !read_moment(source, values[0], &found.from_us, &found.is_all_day)) {
        source_odd(source, 1);
        return 0;
    }
    if (!read_moment(source, values[1], &found.to_us, &ends_as_day))
        found.to_us = found.is_all_day ? zone_day_next(self->zone, found.from_us) : found.from_us;
    if (found.to_us < found.from_us) {
        source_odd(source, 1);
        return 0;
    }
    found.summary = text_of(source, values[2]);
    found.location = text_of(source, values[3]);
    found.description = text_of(source, values[4]);
    poll_take(source, &found);
    return 0;
}

static int read_events(source_t *source, struct json_value root, struct fault *fault)
{
    struct self *self = source_self(source);
    *fault = (struct fault){ "", "is no list of events" };
    if (root.kind != JSON_ARRAY || !self->zone || self->next == 0)
        return -1;
    json_each_item(source_json(source), root.raw, take_event, source);
    self->good++;
    return 0;
}

const struct step home_assistant_steps[] = {
    { .ask = ask_list, .read = read_list, .passing = 404 }, /* where no integration has a calendar */
    { .ask = ask_events, .read = read_events, .is_repeated = true, .may_fail = true },
    { .read = poll_end, .is_local = true },
    { .read = NULL },
};

/* source_poll.c - when a provider is asked, and what a refusal means. */
#include "source_inside.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { BACK_OFF_S = 60, PATH_BYTES = 1024, BODY_MAX = 1024 * 1024, DAY_S = 86400 };
static const int64_t second_us = 1000000;

static void ask_step(struct source *);

static int64_t every_s(const struct source *self)
{
    return self->config.has_every_s ? self->config.every_s : self->provider->every_s;
}

/* Between 95 and 105 percent: houses all over the world do not ask at the same second. */
static int64_t jitter_us(struct source *self, int64_t seconds)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    int64_t us = seconds * second_us;
    return us - us / 20 + (int64_t)(self->random % (uint64_t)(us / 10 + 1));
}

void poll_later(struct source *self, int64_t seconds)
{
    self->due_us = actor_now_us(self->actor) + jitter_us(self, seconds);
    ahead_keep(self);
    kept_save(self);
    ahead_store(self);
    source_say(self);
    actor_wake(self->actor, (int)((self->due_us - actor_now_us(self->actor)) / 1000));
}

/* --- the end of a poll -------------------------------------------------------------------------- */

static void end_poll(struct source *self)
{
    self->is_asking = false;
    self->has_tried_login = false;
}

static void succeed(struct source *self)
{
    end_poll(self);
    self->why[0] = '\0';
    self->failures = 0;
    self->was_good = true;
    poll_later(self, every_s(self));
    series_tell(self);
}

static void fail(struct source *self, long retry_after_s, const char *why)
{
    end_poll(self);
    snprintf(self->why, sizeof self->why, "%s", why);
    self->was_good = false;
    self->stats->failures++;
    int64_t wait_s = (int64_t)BACK_OFF_S << (self->failures < 10 ? self->failures : 10);
    wait_s = wait_s < every_s(self) ? wait_s : every_s(self);
    self->failures++;
    actor_warn(self->actor, "%s: no reading: %s", self->provider->name, why);
    poll_later(self, retry_after_s > wait_s ? (retry_after_s < DAY_S ? retry_after_s + retry_after_s / 19 + 1 : DAY_S) : wait_s);
}

/* The name of the setting that the provider may not like. */
static void refuse(struct source *self, long status)
{
    char settings[120] = "", text[16];
    end_poll(self);
    self->stats->failures++;
    for (size_t i = 0; i < SETTINGS_MAX && self->provider->needs[i]; i++)
        snprintf(settings + strlen(settings), sizeof settings - strlen(settings), "%s%s.%s", i ? ", " : "", actor_spec.name, self->provider->needs[i]);
    for (size_t i = 0; i < SETTINGS_MAX && source_spec.chosen[i] && strlen(settings) < 80; i++)
        if (source_setting_text(self, source_spec.chosen[i], text, sizeof text) > 0 && !strstr(settings, source_spec.chosen[i]))
            snprintf(settings + strlen(settings), sizeof settings - strlen(settings), "%s%s.%s", *settings ? ", " : "", actor_spec.name, source_spec.chosen[i]);
    snprintf(self->refused, sizeof self->refused, "refused with status %ld; not asked again until the settings change%s%s", status,
        *settings ? ": see " : "", settings);
    actor_error(self->actor, "%s: %s", self->provider->name, self->refused);
    kept_save(self);
    source_say(self);
}

static void finish(struct source *self)
{
    struct fault fault;
    char why[160];
    if (source_check(self, &fault) == 0) {
        source_take(self);
        succeed(self);
        return;
    }
    snprintf(why, sizeof why, "%s%s%s", fault.field, *fault.field ? " " : "", fault.why);
    fail(self, -1, why);
}

/* --- an answer -------------------------------------------------------------------------------------- */

static bool is_refusal(long status)
{
    return status == 400 || status == 401 || status == 403 || status == 404;
}

/* A login that has run out is made anew, once in a poll. */
static bool may_login_again(struct source *self, long status)
{
    bool has_login = self->provider->steps[0].is_login && self->step > 0;
    if (status != 401 || !has_login || self->has_tried_login)
        return false;
    self->has_tried_login = true;
    self->login_us = 0;
    self->step = 0;
    return true;
}

static void next_step(struct source *self)
{
    self->step += !self->provider->steps[self->step].is_repeated;
    ask_step(self);
}

static void count_requests(struct source *self, int attempts)
{
    int64_t day = actor_now_us(self->actor) / second_us / DAY_S;
    if (day != self->quota_day) {
        self->quota_day = day;
        self->quota_used = 0;
    }
    self->quota_used += attempts;
    self->stats->requests += attempts;
}

static void on_unchanged(struct source *self)
{
    self->stats->unchanged++;
    ahead_keep(self);
    self->fetched_us = actor_now_us(self->actor);
    if (source_spec.make)
        source_again(self);
    succeed(self);
}

static void take_answer(struct source *self, const struct fetched *fetched)
{
    const struct step *step = &self->provider->steps[self->step];
    struct fault fault;
    char why[160] = "";
    bool is_refused = !fetched->error && is_refusal(fetched->status) && fetched->status != step->passing;
    int rc = 0;
    if (fetched->error)
        snprintf(why, sizeof why, "%s", fetched->error);
    else if (fetched->status != 200)
        snprintf(why, sizeof why, "status %ld", fetched->status);
    else if ((rc = source_read(self, step, fetched->body, &fault)) != 0)
        snprintf(why, sizeof why, "%s%s%s", fault.field, *fault.field ? " " : "", fault.why);
    if (!*why)
        next_step(self);
    else if (step->may_fail) {
        actor_warn(self->actor, "%s: a part of the answer was not had: %s", self->provider->name, why);
        next_step(self);
    } else if (is_refused || rc == STEP_REFUSED)
        refuse(self, fetched->status);
    else
        fail(self, fetched->retry_after_s, why);
}

/* What was asked for is not what is wanted any more: it is asked anew. */
static void drop_answer(struct source *self)
{
    end_poll(self);
    self->is_outdated = false;
    self->due_us = 0;
    actor_wake(self->actor, 0);
}

static void on_fetched(struct self *owner, actor_t *actor, const struct fetched *fetched)
{
    struct source *self = source_of(owner);
    (void)actor;
    count_requests(self, fetched->attempts);
    if (self->is_outdated)
        drop_answer(self);
    else if (!fetched->error && may_login_again(self, fetched->status))
        ask_step(self);
    else if (fetched->not_modified && self->is_conditional)
        on_unchanged(self);
    else
        take_answer(self, fetched);
}

/* --- asking --------------------------------------------------------------------------------------------- */

static bool is_logged_in(const struct source *self)
{
    return self->login_us > actor_now_us(self->actor);
}

static void on_step_again(struct self *owner, actor_t *actor, int64_t tag)
{
    struct source *self = source_of(owner);
    (void)actor, (void)tag;
    if (self->is_outdated)
        drop_answer(self);
    else
        ask_step(self);
}

static void read_local(struct source *self, const struct step *step)
{
    struct fault fault;
    if (step->read(self, (struct json_value){ JSON_NOTHING, { "", 0 } }, &fault) == 0)
        next_step(self);
    else
        fail(self, -1, fault.why);
}

/* Only the first request of a poll may be answered with "nothing new": with it, the poll is over. */
static void ask_step(struct source *self)
{
    const struct step *step = &self->provider->steps[self->step];
    char path[PATH_BYTES] = "", url[sizeof self->config.url + PATH_BYTES];
    const char *base = self->config.has_url ? self->config.url : self->provider->base;
    if (!step->read) {
        finish(self);
        return;
    }
    if (step->is_local) {
        read_local(self, step);
        return;
    }
    self->is_conditional = self->step == 0 && !step->is_login && self->was_good && self->has_reading;
    struct fetch fetch = { .done = on_fetched, .body_max = BODY_MAX, .is_unconditional = !self->is_conditional,
        .timeout_ms = self->config.has_timeout_ms ? (int)self->config.timeout_ms : self->provider->timeout_ms };
    int rc = step->is_login && is_logged_in(self) ? 1 : step->ask(self, &fetch, path, sizeof path);
    if (rc == STEP_AGAIN) {
        actor_after(self->actor, 0, on_step_again, 0);
        return;
    }
    if (rc) {
        self->step++;
        ask_step(self);
        return;
    }
    int base_size = (int)strlen(base);
    while (base_size > 0 && base[base_size - 1] == '/')
        base_size--;
    snprintf(url, sizeof url, "%.*s%s", base_size, base, path);
    fetch.url = url;
    if (actor_fetch(self->actor, &fetch))
        fail(self, -1, "the request cannot be made");
}

void source_login(source_t *self, int64_t until_us)
{
    self->login_us = until_us;
}

static void begin(struct source *self)
{
    self->is_asking = true;
    self->has_tried_login = false;
    self->step = 0;
    self->stats->polls++;
    schema_clear(self->schema, self->draft);
    source_drop_slots(self);
    ask_step(self);
}

static bool is_over_quota(struct source *self)
{
    count_requests(self, 0);
    return self->provider->quota > 0 && self->quota_used >= self->provider->quota;
}

static int poll_if_due(source_t *self)
{
    int64_t now_us = actor_now_us(self->actor), most_us = 2 * every_s(self) * second_us;
    if (self->is_asking || self->refused[0] || self->provider->listen || self->is_leaving)
        return -1;
    if (self->provider->needs_place && !self->has_place)
        return -1; /* source_home() wakes us */
    if (self->due_us > now_us + (most_us > DAY_S * second_us * 2 ? most_us : DAY_S * second_us * 2))
        self->due_us = 0; /* the clock was set back */
    if (self->due_us > now_us) {
        int64_t left_ms = (self->due_us - now_us) / 1000 + 1;
        return left_ms < 3600000 ? (int)left_ms : 3600000;
    }
    if (is_over_quota(self)) {
        self->due_us = (self->quota_day + 1) * DAY_S * second_us;
        source_say(self);
        return 3600000;
    }
    begin(self);
    return -1;
}

static int sooner(int a_ms, int b_ms)
{
    return b_ms < 0 || (a_ms >= 0 && a_ms < b_ms) ? a_ms : b_ms;
}

int source_tick(struct self *owner, actor_t *actor)
{
    source_t *self = source_of(owner);
    (void)actor;
    int ahead_ms = ahead_store(self), poll_ms = poll_if_due(self), renew_ms = source_renew(self), series_ms = series_tick(self);
    return leave_may_end(self) ? -1 : sooner(sooner(ahead_ms, series_ms), sooner(renew_ms, poll_ms));
}

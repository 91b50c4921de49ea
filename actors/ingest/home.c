/* home.c - dial, hand over, tear down. */
#include "home.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_US INT64_C(250000)
#define ASK_US  (300 * INT64_C(1000000)) /* an answer that has not come by then never will */

enum role { TRYING, LIVE_LINK, BETTER, OLD, ROLES };

struct link {
    struct home *home;
    int endpoint;
    void *socket;
    bool is_open;
    session_t *session;
    int64_t dialled_us;
    int64_t number;              /* of the session; 0: none yet */
    int64_t changes_seen;
    bool is_fenced;
};

struct home {
    struct home_options options;
    struct plan plan;
    struct socket_calls calls;
    void *socket_owner;
    struct home_hooks hooks;
    void *owner;
    struct link *links[ROLES];
    bool held;
    int64_t now_us;
    /* What is told about it. */
    enum home_state state;
    int64_t since_us, session, registry_changes, connections, failures, ignored;
    int last_endpoint;
    char ha_version[33];
    char why[240];
    bool all_events;
    char event_types[1024];
};

static enum role role_of(const struct link *link)
{
    int role = 0;
    while (role < ROLES && link->home->links[role] != link)
        role++;
    assert(role < ROLES);
    return (enum role)role;
}

static void set_state(struct home *self, enum home_state state)
{
    if (self->state != state)
        self->since_us = self->now_us;
    self->state = state;
    self->hooks.changed(self->owner);
}

/* --- links ----------------------------------------------------------------------------- */

static void on_send(void *owner, struct slice text)
{
    struct link *link = owner;
    if (link->socket)
        link->home->calls.send(link->socket, text);
}

static void on_frame(void *owner, struct slice frame, const struct items *items)
{
    struct link *link = owner;
    struct home *self = link->home;
    uint32_t first, last;
    session_ids(link->session, &first, &last);
    self->hooks.frame(self->owner, link->number, first, last, frame, items);
}

static void on_answered(void *owner, int64_t tag, bool success, struct slice result, struct slice error)
{
    struct link *link = owner;
    link->home->hooks.answered(link->home->owner, tag, success, result, error);
}

static void on_fenced(void *owner)
{
    struct link *link = owner;
    link->is_fenced = true;
}

static void on_moved(void *owner, enum session_state state)
{
    struct link *link = owner;
    struct home *self = link->home;
    if (state != SESSION_SUBSCRIBING)
        return;
    self->connections++;
    link->number = self->hooks.number(self->owner);
    if (role_of(link) == TRYING)
        set_state(self, HOME_SUBSCRIBING);
}

static const struct session_hooks session_hooks = { .send = on_send, .moved = on_moved, .frame = on_frame,
    .answered = on_answered, .fenced = on_fenced };

static void dial(struct home *self, int endpoint, enum role role)
{
    assert(!self->links[role]);
    struct link *link = calloc(1, sizeof *link);
    assert(link);
    const struct endpoint *where = &self->options.endpoints[endpoint];
    struct session_options options = self->options.session;
    options.token = slice_of(where->token);
    *link = (struct link){ .home = self, .endpoint = endpoint, .dialled_us = self->now_us };
    link->session = session_new(&options, &session_hooks, link, self->now_us);
    self->links[role] = link;
    if (role == TRYING)
        self->last_endpoint = endpoint;
    link->socket = self->calls.open(self->socket_owner, where, link);
    if (link->socket && self->held)
        self->calls.hold(link->socket, true);
}

static void cut(struct home *self, enum role role)
{
    struct link *link = self->links[role];
    if (!link)
        return;
    self->links[role] = NULL;
    self->ignored += session_ignored(link->session);
    for (int64_t tag; session_drop_ask(link->session, INT64_MAX, &tag);)
        self->hooks.unanswered(self->owner, tag);
    if (link->socket)
        self->calls.close(link->socket);
    session_destroy(&link->session);
    free(link);
}

/* --- success --------------------------------------------------------------------------- */

static void note_view(struct home *self, const struct link *link)
{
    self->session = link->number;
    self->last_endpoint = link->endpoint;
    self->all_events = session_all_events(link->session);
    snprintf(self->ha_version, sizeof self->ha_version, "%s", session_ha_version(link->session));
    snprintf(self->event_types, sizeof self->event_types, "%s", session_event_types(link->session));
    self->why[0] = '\0';
}

static void go_live(struct home *self, enum role role)
{
    struct link *link = self->links[role];
    bool took_over = self->links[LIVE_LINK] != NULL;
    if (took_over) {
        cut(self, OLD);
        self->links[OLD] = self->links[LIVE_LINK];
        self->links[OLD]->dialled_us = self->now_us;
        session_fence(self->links[OLD]->session, self->now_us);
        session_set_starting(link->session, session_is_starting(self->links[OLD]->session));
    }
    self->links[role] = NULL;
    self->links[LIVE_LINK] = link;
    plan_live(&self->plan, link->endpoint, self->now_us);
    note_view(self, link);
    self->hooks.live(self->owner, took_over);
    self->state = HOME_WAITING; /* so that `since` moves with a takeover too */
    set_state(self, HOME_LIVE);
}

/* --- failure --------------------------------------------------------------------------- */

static void tell_failure(struct home *self, const struct link *link, enum session_end end, const char *why)
{
    enum home_failure failure = end == END_REFUSED ? FAILED_REFUSED
        : link == self->links[LIVE_LINK] ? FAILED_LIVE : FAILED_ATTEMPT;
    self->failures++;
    if (link != self->links[BETTER])
        snprintf(self->why, sizeof self->why, "%s", why);
    self->hooks.failed(self->owner, failure, self->options.endpoints[link->endpoint].url, why);
}

static void wait_or_refuse(struct home *self)
{
    set_state(self, plan_all_refused(&self->plan, self->now_us) ? HOME_AUTH_REFUSED : HOME_WAITING);
}

static void attempt_failed(struct home *self, enum session_end end, int http_status, const char *why)
{
    struct link *link = self->links[TRYING];
    double random = self->hooks.random(self->owner);
    tell_failure(self, link, end, why);
    if (end == END_REFUSED) {
        plan_refused(&self->plan, link->endpoint, self->now_us, random);
        self->hooks.cause(self->owner, CAUSE_AUTH_REFUSED);
    } else {
        plan_failed(&self->plan, link->endpoint, self->now_us, random);
        if (http_status == 502) /* the Supervisor's word for "Home Assistant is being restarted" */
            self->hooks.cause(self->owner, CAUSE_RESTART);
    }
    cut(self, TRYING);
    wait_or_refuse(self);
}

static enum home_cause cause_of(const struct link *link, enum session_end end)
{
    if (end == END_REFUSED)
        return CAUSE_AUTH_REFUSED;
    if (session_is_stopping(link->session))
        return CAUSE_RESTART;
    return end == END_SILENT ? CAUSE_SILENT : CAUSE_CONNECTION_LOST;
}

static void live_lost(struct home *self, enum session_end end, const char *why)
{
    struct link *link = self->links[LIVE_LINK];
    double random = self->hooks.random(self->owner);
    tell_failure(self, link, end, why);
    self->hooks.lost(self->owner, session_known_at(link->session), cause_of(link, end));
    if (end == END_REFUSED)
        plan_refused(&self->plan, link->endpoint, self->now_us, random);
    else
        plan_lost(&self->plan, self->now_us, random);
    cut(self, LIVE_LINK);
    self->links[TRYING] = self->links[BETTER]; /* what was tried beside it is now the way back */
    self->links[BETTER] = NULL;
    if (self->links[TRYING])
        set_state(self, HOME_CONNECTING);
    else
        wait_or_refuse(self);
}

static void better_failed(struct home *self, enum session_end end, const char *why)
{
    struct link *link = self->links[BETTER];
    tell_failure(self, link, end, why);
    if (end == END_REFUSED)
        self->plan.refused_until_us[link->endpoint] = self->now_us + self->plan.auth_retry_us;
    cut(self, BETTER);
}

/* The old connection died before it had given everything: what it still had is a gap. */
static void old_failed(struct home *self)
{
    struct link *link = self->links[OLD];
    self->hooks.lost(self->owner, session_known_at(link->session), CAUSE_CONNECTION_LOST);
    if (self->links[LIVE_LINK])
        self->hooks.live(self->owner, true);
    cut(self, OLD);
}

static void fail(struct home *self, struct link *link, enum session_end end, int http_status, const char *why)
{
    char kept[240]; /* `why` may be the link's own */
    snprintf(kept, sizeof kept, "%s", why);
    switch (role_of(link)) {
    case TRYING: attempt_failed(self, end, http_status, kept); break;
    case LIVE_LINK: live_lost(self, end, kept); break;
    case BETTER: better_failed(self, end, kept); break;
    default: old_failed(self); break;
    }
}

/* After anything happened on a link: has it come further, or to its end? */
static void settle(struct home *self, struct link *link)
{
    enum role role = role_of(link);
    enum session_state state = session_state(link->session);
    self->registry_changes += session_registry_changes(link->session) - link->changes_seen;
    if (link->changes_seen != session_registry_changes(link->session))
        self->hooks.changed(self->owner);
    link->changes_seen = session_registry_changes(link->session);
    if (state == SESSION_OVER)
        fail(self, link, session_end(link->session), 0, session_why(link->session));
    else if (state == SESSION_LIVE && (role == TRYING || role == BETTER))
        go_live(self, role);
    else if (role == OLD && link->is_fenced)
        cut(self, OLD);
}

/* --- what sockets report ---------------------------------------------------------------- */

void link_opened(struct link *link, int64_t clock_us)
{
    link->home->now_us = clock_us;
    link->is_open = true;
    session_opened(link->session, clock_us);
}

void link_received(struct link *link, struct slice message, int64_t clock_us)
{
    struct home *self = link->home;
    self->now_us = clock_us;
    session_take(link->session, message, clock_us);
    settle(self, link);
}

void link_heard(struct link *link, int64_t clock_us)
{
    session_heard(link->session, clock_us);
}

void link_behind(struct link *link)
{
    session_doubt(link->session);
}

void link_closed(struct link *link, int http_status, const char *why, int64_t clock_us)
{
    struct home *self = link->home;
    self->now_us = clock_us;
    link->socket = NULL;
    fail(self, link, END_NONE, http_status, why);
}

/* --- time ------------------------------------------------------------------------------ */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t tick_link(struct home *self, enum role role)
{
    struct link *link = self->links[role];
    if (!link)
        return INT64_MAX;
    int64_t tag;
    while (session_drop_ask(link->session, self->now_us - ASK_US, &tag))
        self->hooks.unanswered(self->owner, tag);
    int64_t age_us = self->now_us - link->dialled_us;
    if (!link->socket) {
        fail(self, link, END_NONE, 0, "cannot connect");
        return 0;
    }
    if (!link->is_open && age_us >= self->options.open_us) {
        fail(self, link, END_NONE, 0, "no connection in time");
        return 0;
    }
    if (!link->is_open)
        return self->options.open_us - age_us;
    if (self->held)
        session_excuse(link->session, self->now_us); /* we are not listening: its silence is ours */
    int64_t due_us = session_tick(link->session, self->now_us);
    settle(self, link);
    return due_us;
}

static void dial_what_is_due(struct home *self)
{
    if (!self->links[LIVE_LINK] && !self->links[TRYING]) {
        int endpoint = plan_dial(&self->plan, self->now_us);
        if (endpoint < 0)
            return;
        dial(self, endpoint, TRYING);
        set_state(self, HOME_CONNECTING);
    } else if (self->links[LIVE_LINK] && !self->links[BETTER] && !self->links[OLD]) {
        int endpoint = plan_better(&self->plan, self->links[LIVE_LINK]->endpoint, self->now_us);
        if (endpoint >= 0)
            dial(self, endpoint, BETTER);
    }
}

int64_t home_tick(home_t *self, int64_t clock_us)
{
    self->now_us = clock_us;
    int64_t due_us = TICK_US;
    for (int role = 0; role < ROLES; role++)
        due_us = earlier(due_us, tick_link(self, (enum role)role));
    dial_what_is_due(self);
    if (!self->links[LIVE_LINK] && !self->links[TRYING])
        due_us = earlier(due_us, self->plan.due_us - clock_us);
    return due_us < 0 ? 0 : due_us;
}

void home_hold(home_t *self, bool held)
{
    self->held = held;
    for (int role = 0; role < ROLES; role++) {
        struct link *link = self->links[role];
        if (link && link->socket)
            self->calls.hold(link->socket, held);
        if (link)
            session_doubt(link->session);
    }
}

bool home_is_starting(const home_t *self)
{
    return self->links[LIVE_LINK] && session_is_starting(self->links[LIVE_LINK]->session);
}

void home_set_starting(home_t *self, bool starting)
{
    if (self->links[LIVE_LINK])
        session_set_starting(self->links[LIVE_LINK]->session, starting);
}

int home_ask(home_t *self, struct slice command, int64_t tag, int64_t clock_us)
{
    struct link *link = self->links[LIVE_LINK];
    return link ? session_ask(link->session, command, tag, clock_us) : -1;
}

/* --- life ------------------------------------------------------------------------------ */

home_t *home_new(const struct home_options *options, const struct socket_calls *calls, void *socket_owner,
    const struct home_hooks *hooks, void *owner, int64_t clock_us)
{
    struct home *self = calloc(1, sizeof *self);
    assert(self);
    self->options = *options;
    self->plan = options->plan;
    self->calls = *calls;
    self->socket_owner = socket_owner;
    self->hooks = *hooks;
    self->owner = owner;
    self->now_us = self->since_us = clock_us;
    self->state = HOME_WAITING;
    self->last_endpoint = -1;
    plan_start(&self->plan, clock_us);
    return self;
}

void home_destroy(home_t **self_p)
{
    struct home *self = *self_p;
    if (!self)
        return;
    for (int role = 0; role < ROLES; role++)
        cut(self, (enum role)role);
    free(self);
    *self_p = NULL;
}

/* While the old connection still has something on its way, what it has given is what is known. */
static int64_t known_at(const struct home *self)
{
    const struct link *live = self->links[LIVE_LINK], *old = self->links[OLD];
    if (!live)
        return 0;
    int64_t known_us = session_known_at(live->session);
    return old ? earlier(known_us, session_known_at(old->session)) : known_us;
}

void home_view(const home_t *self, struct home_view *view)
{
    const struct link *live = self->links[LIVE_LINK];
    bool waits = !live && !self->links[TRYING];
    *view = (struct home_view){ .state = self->state, .since_us = self->since_us,
        .retry_us = waits ? self->plan.due_us : 0, .session = self->session,
        .endpoint = self->last_endpoint < 0 ? NULL : &self->options.endpoints[self->last_endpoint],
        .ha_version = self->ha_version, .all_events = self->all_events, .event_types = self->event_types,
        .why = self->why, .known_us = known_at(self),
        .registry_changes = self->registry_changes, .connections = self->connections, .failures = self->failures,
        .ignored = self->ignored + (live ? session_ignored(live->session) : 0) };
}

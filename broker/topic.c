/* topic.c - topics by subject: who publishes, who listens, in which group, with what window. */
#include "core.h"

#include <assert.h>

enum { MOST_TOPICS = 4096, MOST_PUBLICATIONS = 256 };

/* --- rate ------------------------------------------------------------------------------ */

static void rate_turn(struct rate *rate, int64_t second)
{
    int64_t gone = second - rate->second;
    if (gone <= 0)
        return;
    for (int64_t i = 1; i <= gone && i <= RATE_SECONDS + 1; i++)
        rate->bucket[(rate->second + i) % (RATE_SECONDS + 1)] = 0;
    rate->second = second;
}

void rate_add(struct rate *rate, int64_t clock_us, uint64_t count)
{
    rate_turn(rate, clock_us / 1000000);
    rate->bucket[rate->second % (RATE_SECONDS + 1)] += count;
}

double rate_per_s(const struct rate *rate, int64_t clock_us)
{
    struct rate now = *rate;
    rate_turn(&now, clock_us / 1000000);
    uint64_t sum = 0; /* the second under way is left out */
    for (int64_t i = 1; i <= RATE_SECONDS; i++)
        sum += now.bucket[(now.second + i) % (RATE_SECONDS + 1)];
    return (double)sum / RATE_SECONDS;
}

/* --- windows --------------------------------------------------------------------------- */

/* Outside of the groups nothing holds the publisher, so that a window there is memory of ours. */
enum { LOOSE_WINDOW_BYTES = 64 * 1024 * 1024 };

void listener_open(struct listener *listener, const struct wire *wire)
{
    listener->window_messages = wire->count;
    listener->window_bytes = wire->bytes < SIZE_MAX ? (size_t)wire->bytes : SIZE_MAX;
    if (!listener->group && listener->window_bytes > LOOSE_WINDOW_BYTES)
        listener->window_bytes = LOOSE_WINDOW_BYTES;
}

/* What is larger than the whole window passes alone. */
bool listener_has_room(const struct listener *listener, uint32_t count, size_t bytes)
{
    if (listener->window_messages == 0 || listener->peer->is_lost)
        return false;
    if (listener->in_flight_messages == 0)
        return true;
    return listener->in_flight_messages + count <= listener->window_messages &&
        listener->in_flight_bytes + bytes <= listener->window_bytes;
}

void listener_gave(struct listener *listener, uint32_t count, size_t bytes)
{
    listener->in_flight_messages += count;
    listener->in_flight_bytes += bytes;
}

void listener_took(struct listener *listener, uint64_t count, uint64_t bytes)
{
    bool is_all = count >= listener->in_flight_messages;
    listener->in_flight_messages -= is_all ? listener->in_flight_messages : (size_t)count;
    listener->in_flight_bytes -= is_all || bytes > listener->in_flight_bytes ? listener->in_flight_bytes : (size_t)bytes;
}

/* --- topics and groups ----------------------------------------------------------------- */

/* An absent process that holds nothing is remembered so that it may say its batches again,
 * but not for ever: at the latest until its place is needed. */
static struct publication *absent_of(const struct topic *topic, bool only_superseded)
{
    struct publication *old;
    TAILQ_FOREACH(old, &topic->publications, link)
        if (!old->peer && TAILQ_EMPTY(&old->batches) && (old->is_superseded || !only_superseded))
            break;
    return old;
}

/* From the start each time: a group that goes with the one may settle the last batch of another. */
static void forget_absent(broker_t *self, struct topic *topic, bool only_superseded)
{
    struct publication *old;
    while ((old = absent_of(topic, only_superseded)))
        publication_destroy(self, old);
}

static void forget_unused_topics(broker_t *self)
{
    for (struct topic *topic = TAILQ_FIRST(&self->all_topics), *next; topic; topic = next) {
        next = TAILQ_NEXT(topic, link);
        forget_absent(self, topic, false);
        if (!TAILQ_EMPTY(&topic->groups) || !TAILQ_EMPTY(&topic->listeners) || !TAILQ_EMPTY(&topic->publications) ||
            !TAILQ_EMPTY(&topic->values))
            continue;
        zhashx_delete(self->topics, topic->subject);
        topic_destroy(self, topic);
    }
}

struct topic *topic_of(broker_t *self, const char *subject)
{
    struct topic *topic = zhashx_lookup(self->topics, subject);
    if (topic)
        return topic;
    if (zhashx_size(self->topics) >= MOST_TOPICS)
        forget_unused_topics(self);
    if (zhashx_size(self->topics) >= MOST_TOPICS)
        return NULL;
    topic = calloc(1, sizeof *topic);
    assert(topic);
    strcpy(topic->subject, subject);
    TAILQ_INIT(&topic->groups);
    TAILQ_INIT(&topic->listeners);
    TAILQ_INIT(&topic->publications);
    TAILQ_INIT(&topic->values);
    TAILQ_INIT(&topic->removed);
    zhashx_insert(self->topics, topic->subject, topic);
    TAILQ_INSERT_TAIL(&self->all_topics, topic, link);
    return topic;
}

/* The group leaves its list first: emptying it may destroy publications and so lead here again. */
static void group_destroy(broker_t *self, struct topic_group *group)
{
    TAILQ_REMOVE(&group->topic->groups, group, link);
    group->topic->group_bits &= ~group->bit;
    queue_empty(self, group);
    free(group);
}

static struct topic_group *unheld_group(const struct topic *topic)
{
    struct topic_group *group;
    TAILQ_FOREACH(group, &topic->groups, link)
        if (!group->named_by && TAILQ_EMPTY(&group->members))
            break;
    return group;
}

static void sweep_groups(broker_t *self, struct topic *topic)
{
    struct topic_group *group;
    while ((group = unheld_group(topic)))
        group_destroy(self, group);
}

void topic_unname(broker_t *self, struct topic *topic, uint32_t groups)
{
    struct topic_group *group;
    TAILQ_FOREACH(group, &topic->groups, link)
        if (groups & group->bit)
            group->named_by--;
    sweep_groups(self, topic);
}

static struct topic_group *group_of(broker_t *self, struct topic *topic, const char *name)
{
    struct topic_group *group;
    TAILQ_FOREACH(group, &topic->groups, link)
        if (streq(group->name, name))
            return group;
    if (topic->group_bits == UINT32_MAX)
        forget_absent(self, topic, false);
    if (topic->group_bits == UINT32_MAX)
        return NULL;
    group = calloc(1, sizeof *group);
    assert(group);
    group->topic = topic;
    group->bit = ~topic->group_bits & (topic->group_bits + 1); /* the lowest that is free */
    topic->group_bits |= group->bit;
    strcpy(group->name, name);
    TAILQ_INIT(&group->members);
    TAILQ_INIT(&group->waiting);
    TAILQ_INSERT_TAIL(&topic->groups, group, link);
    return group;
}

/* --- publishing ------------------------------------------------------------------------ */

/* What one publisher says is held for the groups that it names itself: another's word for them
 * counts for the other's messages only. */
static bool name_groups(broker_t *self, struct publication *publication, char *names)
{
    char *rest = names, *name;
    while ((name = strsep(&rest, ","))) {
        if (!*name)
            continue;
        struct topic_group *group = strlen(name) <= WIRE_NAME ? group_of(self, publication->topic, name) : NULL;
        if (!group)
            return false;
        group->named_by += !(publication->groups & group->bit);
        publication->groups |= group->bit;
    }
    return true;
}

static struct publication *publication_new(broker_t *self, struct topic *topic, const struct peer *peer)
{
    if (topic->publication_count >= MOST_PUBLICATIONS)
        forget_absent(self, topic, false);
    if (topic->publication_count >= MOST_PUBLICATIONS)
        return NULL;
    struct publication *publication = calloc(1, sizeof *publication);
    assert(publication);
    publication->topic = topic;
    publication->incarnation = peer->incarnation;
    strcpy(publication->name, peer->name);
    strcpy(publication->instance, peer->instance);
    TAILQ_INIT(&publication->batches);
    TAILQ_INSERT_TAIL(&topic->publications, publication, link);
    topic->publication_count++;
    return publication;
}

static struct publication *publication_of(broker_t *self, struct topic *topic, const struct peer *peer)
{
    struct publication *one, *found = NULL;
    TAILQ_FOREACH(one, &topic->publications, link) {
        if (!streq(one->name, peer->name) || !streq(one->instance, peer->instance))
            continue;
        one->is_superseded = one->incarnation != peer->incarnation;
        if (!one->is_superseded)
            found = one;
    }
    forget_absent(self, topic, true);
    return found ? found : publication_new(self, topic, peer);
}

bool topic_publishes(broker_t *self, struct peer *peer, const struct letter *letter)
{
    char subject[WIRE_SUBJECT + 1], groups[WIRE_GROUPS + 1];
    struct channel *channel = peer_channel(peer, letter->wire.topic);
    if (!channel || !channel_is_free(channel) || letter->wire.flags > BUS_LIVE ||
        !letter_text(letter, 0, subject, sizeof subject, false) || !letter_text(letter, 1, groups, sizeof groups, true))
        return false;
    struct topic *topic = topic_of(self, subject);
    if (!topic || (topic->is_declared && topic->policy != letter->wire.flags))
        return false;
    topic->policy = letter->wire.flags;
    topic->is_declared = true;
    struct publication *publication = publication_of(self, topic, peer);
    if (!publication || publication->peer) /* too many; the same subject under two numbers */
        return false;
    publication->peer = peer;
    if (topic->policy == BUS_LOSSLESS && !name_groups(self, publication, groups)) {
        publication_leave(self, publication);
        return false;
    }
    publication->channel = letter->wire.topic;
    publication->resent = TAILQ_FIRST(&publication->batches);
    channel->publication = publication;
    return true;
}

/* --- listening ------------------------------------------------------------------------- */

static struct listener *listener_new(struct peer *peer, const struct letter *letter, struct topic *topic, struct topic_group *group)
{
    struct listener *listener = calloc(1, sizeof *listener);
    assert(listener);
    listener->peer = peer;
    listener->channel = letter->wire.topic;
    listener->topic = topic;
    listener->group = group;
    listener_open(listener, &letter->wire);
    listener->served = topic->turn;
    TAILQ_INIT(&listener->given);
    TAILQ_INIT(&listener->parcels);
    if (group)
        TAILQ_INSERT_TAIL(&group->members, listener, link);
    else
        TAILQ_INSERT_TAIL(&topic->listeners, listener, link);
    return listener;
}

static void pump(broker_t *self, struct listener *listener)
{
    if (listener->group)
        queue_pump(self, listener->group);
    else if (listener->topic->policy == BUS_LATEST)
        latest_pump(self, listener);
    else
        live_pump(self, listener);
}

bool topic_listens(broker_t *self, struct peer *peer, const struct letter *letter)
{
    char subject[WIRE_SUBJECT + 1], name[WIRE_NAME + 1];
    struct channel *channel = peer_channel(peer, letter->wire.topic);
    if (!channel || !channel_is_free(channel) || letter->wire.flags > BUS_LIVE || letter->wire.bytes == 0 ||
        !letter_text(letter, 0, subject, sizeof subject, false) || !letter_text(letter, 1, name, sizeof name, true))
        return false;
    enum bus_policy policy = letter->wire.flags;
    struct topic *topic = topic_of(self, subject);
    if (!topic || (*name && policy != BUS_LOSSLESS))
        return false;
    if (!topic->is_declared && TAILQ_EMPTY(&topic->listeners) && TAILQ_EMPTY(&topic->groups))
        topic->policy = policy;
    if (*name && topic->is_declared && topic->policy != BUS_LOSSLESS)
        return false;
    struct topic_group *group = *name ? group_of(self, topic, name) : NULL;
    if (*name && !group)
        return false;
    channel->listener = listener_new(peer, letter, topic, group);
    if (topic->policy == BUS_LATEST && !group)
        latest_join(channel->listener, self->clock_us);
    pump(self, channel->listener);
    return true;
}

static void listener_destroy(broker_t *self, struct listener *listener)
{
    struct topic_group *group = listener->group;
    struct topic *topic = listener->topic;
    if (group)
        TAILQ_REMOVE(&group->members, listener, link);
    else
        TAILQ_REMOVE(&topic->listeners, listener, link);
    if (group)
        queue_take_back(self, listener);
    live_forget(listener);
    free(listener);
    if (!group)
        latest_sweep(self, topic);
    else if (group->named_by || !TAILQ_EMPTY(&group->members))
        queue_pump(self, group);
    else
        sweep_groups(self, topic);
}

void topic_forget(broker_t *self, struct channel *channel)
{
    if (channel->listener)
        listener_destroy(self, channel->listener);
    if (channel->publication)
        publication_leave(self, channel->publication);
    if (channel->service_owner)
        service_owner_destroy(self, channel->service_owner);
    *channel = (struct channel){ 0 };
}

/* At the end of everything: no peer is left. */
void topic_destroy(broker_t *self, struct topic *topic)
{
    struct topic_group *group;
    while ((group = TAILQ_FIRST(&topic->groups))) {
        queue_drop(group);
        group_destroy(self, group);
    }
    while (!TAILQ_EMPTY(&topic->publications))
        publication_destroy(self, TAILQ_FIRST(&topic->publications));
    latest_destroy(self, topic);
    TAILQ_REMOVE(&self->all_topics, topic, link);
    free(topic);
}

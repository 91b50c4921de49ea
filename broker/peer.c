/* peer.c - who is connected: routes, names, what each has declared. */
#include "core.h"

#include <assert.h>

static void make_route(struct route *route, const zmq_msg_t *id, size_t address)
{
    *route = (struct route){ .size = part_size(id), .address = address };
    assert(route->size <= sizeof route->id);
    memcpy(route->id, part_data(id), route->size);
}

static bool has_route(const struct peer *peer, const zmq_msg_t *id, size_t address)
{
    return peer->route.address == address && peer->route.size == part_size(id) &&
        memcmp(peer->route.id, part_data(id), peer->route.size) == 0;
}

struct peer *peer_of(broker_t *self, const zmq_msg_t *id, size_t address)
{
    if (self->recent && has_route(self->recent, id, address))
        return self->recent;
    struct route route;
    make_route(&route, id, address);
    struct peer *peer = zhashx_lookup(self->by_route, &route);
    if (!peer) {
        peer = calloc(1, sizeof *peer);
        assert(peer);
        peer->route = route;
        part_of(&peer->id, route.id, route.size);
        zhashx_insert(self->by_route, &peer->route, peer);
        TAILQ_INSERT_TAIL(&self->peers, peer, link);
    }
    self->recent = peer;
    return peer;
}

static void replace_older(broker_t *self, const struct peer *peer)
{
    struct peer *older = zhashx_lookup(self->by_name, peer->full_name);
    if (!older)
        return;
    self->counters.gone += older->incarnation != peer->incarnation;
    peer_leave(self, older, older->incarnation == peer->incarnation ? "is connected anew" : "is replaced by a newcomer");
}

bool peer_meet(broker_t *self, struct peer *peer, const struct letter *letter)
{
    char name[WIRE_NAME + 1], instance[WIRE_NAME + 1];
    if (letter->wire.count != WIRE_VERSION || !letter_text(letter, 0, name, sizeof name, false) ||
        !letter_text(letter, 1, instance, sizeof instance, false) || strchr(name, '/'))
        return false;
    if (peer->state == KNOWN)
        peer_leave(self, peer, "says hello again");
    strcpy(peer->name, name);
    strcpy(peer->instance, instance);
    snprintf(peer->full_name, sizeof peer->full_name, "%s/%s", name, instance);
    peer->incarnation = letter->wire.number;
    replace_older(self, peer);
    peer->state = KNOWN;
    zhashx_insert(self->by_name, peer->full_name, peer);
    self->counters.peers++;
    broker_note(self, "joined", peer);
    return true;
}

void peer_leave(broker_t *self, struct peer *peer, const char *why)
{
    if (peer->state != KNOWN)
        return;
    peer->state = LEAVING;
    zhashx_delete(self->by_name, peer->full_name);
    self->counters.peers--;
    service_forget(self, peer);
    for (size_t i = 0; i < peer->channel_count; i++)
        topic_forget(self, &peer->channels[i]);
    free(peer->channels);
    peer->channels = NULL;
    peer->channel_count = 0;
    broker_note(self, why, peer);
}

void peer_dismiss(broker_t *self, struct peer *peer, const char *why)
{
    broker_post(self, peer, &(struct wire){ .verb = VERB_CLOSING }, NULL, 0);
    peer_leave(self, peer, why);
}

void peer_destroy(broker_t *self, struct peer *peer)
{
    peer_leave(self, peer, "left");
    if (peer->is_lost)
        TAILQ_REMOVE(&self->lost, peer, lost_link);
    if (self->recent == peer)
        self->recent = NULL;
    zhashx_delete(self->by_route, &peer->route);
    TAILQ_REMOVE(&self->peers, peer, link);
    zmq_msg_close(&peer->id);
    free(peer);
}

struct channel *peer_channel(struct peer *peer, uint16_t number)
{
    if (number < peer->channel_count)
        return &peer->channels[number];
    if (number >= WIRE_TOPICS)
        return NULL;
    size_t count = peer->channel_count ? peer->channel_count : 8;
    while (count <= number)
        count *= 2;
    peer->channels = realloc(peer->channels, count * sizeof *peer->channels);
    assert(peer->channels);
    memset(peer->channels + peer->channel_count, 0, (count - peer->channel_count) * sizeof *peer->channels);
    peer->channel_count = count;
    return &peer->channels[number];
}

bool channel_is_free(const struct channel *channel)
{
    return !channel->publication && !channel->listener && !channel->service_owner;
}

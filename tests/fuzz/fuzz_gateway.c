/* fuzz_gateway.c - whatever a client sends, whole and in pieces: the answers are the same bytes. */
#include "../gateway/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whoever is asked is away, so that every request is answered. */
static void answer_all(probe_t *probe)
{
    bool asked = true;
    while (asked) {
        asked = probe_answer_fault(probe, &events_find_contract, UNAVAILABLE, "", "") == 0;
        for (const struct route *r = routes; r->path; r++)
            if (r->service && r->service->out && probe_asked_count(probe, r->service))
                asked |= probe_answer_fault(probe, r->service, UNAVAILABLE, "", "") == 0;
    }
}

/* Only there where the body was late. */
static void drop_continues(struct client *client)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const size_t size = sizeof interim - 1;
    for (char *at; (at = memmem(client->received, client->size, interim, size)) != NULL; client->size -= size)
        memmove(at, at + size, client->size - (size_t)(at - client->received) - size);
}

static struct client *answers(probe_t *probe, const uint8_t *data, size_t size, size_t piece)
{
    struct self *self = probe_self(probe);
    self->seed = self->requests = 0; /* what request ids are made of */
    struct client *client = client_new(probe);
    for (size_t at = 0; at < size && !client->closed; at += piece) {
        connection_take(client->connection, (struct slice){ data + at, size - at < piece ? size - at : piece });
        answer_all(probe);
    }
    drop_continues(client);
    return client;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static probe_t *probe;
    if (!probe)
        probe = gateway_new(NULL, NULL);
    if (size < 2)
        return 0;
    size_t piece = 1 + data[0];
    struct client *whole = answers(probe, data + 1, size - 1, size), *pieces = answers(probe, data + 1, size - 1, piece);
    if (whole->size != pieces->size || memcmp(whole->received, pieces->received, whole->size)) {
        fprintf(stderr, "whole:\n%.*s\nin pieces of %zu:\n%.*s\n", (int)whole->size, whole->received, piece,
            (int)pieces->size, pieces->received);
        abort();
    }
    assert(whole->finished == pieces->finished && whole->closed == pieces->closed);
    client_destroy(&whole);
    client_destroy(&pieces);
    return 0;
}

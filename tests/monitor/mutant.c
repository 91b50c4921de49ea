/* mutant.c - an actor that says that all is well and drops what it is given; linked with --wrap. */
#include "actor.h"

#include <string.h>

int __wrap_actor_publish(actor_t *actor, const struct contract *contract, const void *message);
int __real_actor_publish(actor_t *actor, const struct contract *contract, const void *message);
int __wrap_store_append(void *store, const struct event_full *e, struct fault *fault);
int __wrap_store_find(void *store, const struct events_query *query, any_fn *row, void *owner, struct page *end, struct fault *fault);
int __wrap_capture_append(void *log, void *records, size_t count, int64_t now_us);

/* enrich: acknowledged, and never passed on. */
int __wrap_actor_publish(actor_t *actor, const struct contract *contract, const void *message)
{
    return strcmp(contract->subject, "event.full") == 0 ? 0 : __real_actor_publish(actor, contract, message);
}

/* sink: committed, and never written. */
int __wrap_store_append(void *store, const struct event_full *e, struct fault *fault)
{
    (void)store, (void)e, (void)fault;
    return 0;
}

/* query: there is nothing. */
int __wrap_store_find(void *store, const struct events_query *query, any_fn *row, void *owner, struct page *end, struct fault *fault)
{
    (void)store, (void)query, (void)row, (void)owner, (void)fault;
    SET(end, count, 0);
    return 0;
}

/* ingest: taken, and never kept. */
int __wrap_capture_append(void *log, void *records, size_t count, int64_t now_us)
{
    (void)log, (void)records, (void)count, (void)now_us;
    return 0;
}

/* answers.h - the services of registry: what is there, from metadata.db. */
#ifndef ANSWERS_H
#define ANSWERS_H

#include "actor.h"
#include "metadata.h"

/* `pool` keeps what a reply points to until it has been sent. */
int answer_devices(metadata_t *, actor_t *, const struct devices_query *, rows_t *, struct page *);
int answer_device(metadata_t *, actor_t *, const struct device_query *, struct device_row *, msgpack_sbuffer *pool);
int answer_entities(metadata_t *, actor_t *, const struct entities_query *, rows_t *, struct page *);
int answer_entity(metadata_t *, actor_t *, const struct entity_query *, struct entity_row *, msgpack_sbuffer *pool);
int answer_areas(metadata_t *, actor_t *, const struct areas_query *, rows_t *, struct page *);
int answer_entries(metadata_t *, actor_t *, const struct entries_query *, rows_t *, struct page *);
int answer_analytics(metadata_t *, actor_t *, const struct platform_query *, struct platform_analytics *,
    msgpack_sbuffer *pool);

#endif

/* names.c - what the registry says of who has which name, on its way into the store. */
#include "names.h"

#include "lineage.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* How long after a subscription the registry's first reading of that session comes, at most; later
 * rows tell of what happened while somebody listened. */
#define READ_US INT64_C(60000000)
enum { SESSION_WAIT_MS = 5000 };

struct names {
    store_t *store;
    int64_t opened_us, gap_start, gap_end;
    bool has_session;
    struct slice *rows;  /* encoded entity_row, ours */
    size_t count, joined, room;
};

names_t *names_new(store_t *store, int64_t clock_us)
{
    names_t *self = calloc(1, sizeof *self);
    assert(self);
    self->store = store;
    self->opened_us = clock_us;
    return self;
}

static void drop_first(names_t *self, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)self->rows[i].data);
    if (count > 0)
        memmove(self->rows, self->rows + count, (self->count - count) * sizeof *self->rows);
    self->count -= count;
    self->joined -= count;
}

void names_destroy(names_t **self_p)
{
    names_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    self->joined = self->count;
    drop_first(self, self->count);
    free(self->rows);
    free(self);
}

void names_session(names_t *self, const struct ingest_session *session)
{
    if (strcmp(session->state, "live") != 0)
        return;
    self->has_session = true;
    self->gap_start = session->has_gap_start ? session->gap_start : 0;
    self->gap_end = session->has_gap_end ? session->gap_end : 0;
}

/* Only what names it is kept of the row. */
void names_entity(names_t *self, const struct entity_row *row)
{
    msgpack_sbuffer bytes;
    struct fault fault;
    struct entity_row kept;
    if (row->has_removed_at || !row->has_registry_id)
        return;
    schema_clear(entity_row_schema(), &kept);
    SET_TEXT(&kept, entity_id, row->entity_id, row->entity_id_size);
    SET_TEXT(&kept, registry_id, row->registry_id, row->registry_id_size);
    SET_TEXT(&kept, domain, row->domain, row->domain_size);
    if (row->has_platform)
        SET_TEXT(&kept, platform, row->platform, row->platform_size);
    if (row->has_unique_id)
        SET_TEXT(&kept, unique_id, row->unique_id, row->unique_id_size);
    SET(&kept, disabled, row->disabled);
    SET(&kept, timestamp, row->timestamp);
    msgpack_sbuffer_init(&bytes);
    int rc = entity_row_encode(&kept, &bytes, &fault);
    assert(rc == 0); /* it was decoded */
    (void)rc;
    if (self->count == self->room) {
        self->room = self->room ? self->room * 2 : 64;
        self->rows = realloc(self->rows, self->room * sizeof *self->rows);
        assert(self->rows);
    }
    size_t size = bytes.size;
    char *data = realloc(msgpack_sbuffer_release(&bytes), size);
    assert(data);
    self->rows[self->count++] = (struct slice){ data, size };
}

int names_wait_ms(const names_t *self, int64_t clock_us)
{
    if (self->joined == self->count)
        return -1;
    int64_t waited_ms = (clock_us - self->opened_us) / 1000;
    return self->has_session || waited_ms >= SESSION_WAIT_MS ? 0 : (int)(SESSION_WAIT_MS - waited_ms);
}

static int64_t gap_of(const names_t *self, int64_t seen_us)
{
    if (self->gap_end == 0 || seen_us < self->gap_end || seen_us >= self->gap_end + READ_US)
        return 0;
    /* A gap no longer than that was not dated early: the connection had only just come. */
    return self->gap_end - self->gap_start > LINEAGE_EARLY_US ? self->gap_start : self->gap_start - LINEAGE_EARLY_US;
}

enum store_result names_join(names_t *self)
{
    for (; self->joined < self->count; self->joined++) {
        struct entity_row row;
        struct fault fault;
        int rc = entity_row_decode(self->rows[self->joined], &row, &fault);
        assert(rc == 0); /* it was encoded here */
        (void)rc;
        if (store_note_entity(self->store, &row, gap_of(self, row.timestamp)) == STORE_TROUBLE)
            return STORE_TROUBLE;
    }
    return STORE_OK;
}

void names_committed(names_t *self)
{
    drop_first(self, self->joined);
}

void names_forget(names_t *self)
{
    self->joined = 0;
}

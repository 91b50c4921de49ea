/* kept.c - all that energy knows, in one file: written whole, of one moment of the events' own time. */
#include "kept.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { VERSION = 1, COUNTS = sizeof(struct flow_counts) / sizeof(int64_t) + 2 };

static void add(msgpack_sbuffer *to, const struct schema *schema, const void *row)
{
    struct fault fault;
    int rc = schema_encode(schema, row, to, &fault);
    assert(rc == 0);
    (void)rc;
}

#define PUT_TEXT(row, member, text) SET_TEXT(row, member, text, strlen(text))

static struct slice bytes_of(const void *data, size_t size)
{
    return (struct slice){ data, size };
}

/* --- writing ----------------------------------------------------------------------------------------- */

static void put_meter(const struct meter *m, msgpack_sbuffer *to)
{
    struct energy_kept_meter row = { 0 };
    PUT_TEXT(&row, entity_id, m->entity);
    SET(&row, last_at, m->last.at_us);
    SET(&row, last_w, m->last.w);
    SET(&row, sizes, bytes_of(m->changes.of, m->changes.count * sizeof(float)));
    SET(&row, intervals, bytes_of(m->intervals.of, m->intervals.count * sizeof(float)));
    SET(&row, steady, bytes_of(m->steady.of, m->steady.count * sizeof(struct sample)));
    SET(&row, run, bytes_of(m->run.of, m->run.count * sizeof(struct sample)));
    SET(&row, left_at, m->left_us);
    SET(&row, background, bytes_of(m->background.of, sizeof m->background.of));
    SET(&row, background_at, m->background.at_us);
    SET(&row, sizes_next, m->changes.next);
    SET(&row, intervals_next, m->intervals.next);
    add(to, energy_kept_meter_schema(), &row);
}

static void put_change(const struct change *c, msgpack_sbuffer *to)
{
    struct energy_kept_change row = { 0 };
    PUT_TEXT(&row, entity_id, c->entity);
    SET(&row, at, c->at_us);
    PUT_TEXT(&row, state, c->state);
    PUT_TEXT(&row, previous, c->previous);
    PUT_TEXT(&row, detail, c->detail);
    PUT_TEXT(&row, detail_before, c->detail_before);
    PUT_TEXT(&row, device_id, c->device_id);
    SET(&row, direction, c->direction);
    SET(&row, marks, c->is_action | c->is_text << 1 | c->is_switching << 2 | c->is_learned << 3);
    SET(&row, used, c->used);
    add(to, energy_kept_change_schema(), &row);
}

static void put_step(const struct pending *p, const struct meter *m, msgpack_sbuffer *to)
{
    struct energy_kept_step row = { 0 };
    PUT_TEXT(&row, meter, m->entity);
    SET(&row, from, p->step.from_us);
    SET(&row, to, p->step.to_us);
    SET(&row, before_w, p->step.before_w);
    SET(&row, after_w, p->step.after_w);
    SET(&row, noise_w, p->step.noise_w);
    add(to, energy_kept_step_schema(), &row);
}

static void put_device(const struct device *d, msgpack_sbuffer *to)
{
    struct energy_kept_device row = { 0 };
    PUT_TEXT(&row, entity_id, d->entity);
    PUT_TEXT(&row, detail, d->detail);
    SET(&row, changes, d->changes);
    SET(&row, explained, d->explained);
    SET(&row, deltas, bytes_of(d->deltas, d->count * sizeof(float)));
    SET(&row, next, d->next);
    SET(&row, changed_at, d->changed_us);
    SET(&row, measured_at, d->measured_us);
    SET(&row, lately_changed, d->lately_changed);
    SET(&row, lately_explained, d->lately_explained);
    add(to, energy_kept_device_schema(), &row);
}

static void put_counts(const struct kept *self, int64_t to[COUNTS])
{
    memcpy(to, flow_counts(self->flow), sizeof(struct flow_counts));
    to[COUNTS - 2] = self->stored;
    to[COUNTS - 1] = self->refused;
}

enum { METERS, CHANGES, STEPS, DEVICES, PARTS };

static void put_parts(const struct kept *self, msgpack_sbuffer part[PARTS])
{
    for (size_t i = 0; flow_meter(self->flow, i); i++)
        put_meter(flow_meter(self->flow, i), &part[METERS]);
    for (size_t i = 0; flow_recent(self->flow, i); i++)
        put_change(flow_recent(self->flow, i), &part[CHANGES]);
    for (size_t i = 0; flow_pending(self->flow, i); i++)
        put_step(flow_pending(self->flow, i), flow_meter(self->flow, flow_pending(self->flow, i)->meter), &part[STEPS]);
    for (size_t i = 0; devices_at(self->devices, i); i++)
        put_device(devices_at(self->devices, i), &part[DEVICES]);
}

void kept_encode(const struct kept *self, msgpack_sbuffer *to)
{
    struct energy_kept row = { 0 };
    msgpack_sbuffer part[PARTS] = { 0 };
    int64_t counts[COUNTS];
    put_parts(self, part);
    put_counts(self, counts);
    SET(&row, version, VERSION);
    SET(&row, passed_at, flow_passed_us(self->flow));
    if (self->late_from) {
        SET(&row, late_from, self->late_from);
        SET(&row, late_to, self->late_to);
    }
    SET(&row, told, bytes_of(self->told, sizeof self->told));
    SET(&row, counts, bytes_of(counts, sizeof counts));
    SET(&row, meters, bytes_of(part[METERS].data, part[METERS].size));
    SET(&row, changes, bytes_of(part[CHANGES].data, part[CHANGES].size));
    SET(&row, steps, bytes_of(part[STEPS].data, part[STEPS].size));
    SET(&row, devices, bytes_of(part[DEVICES].data, part[DEVICES].size));
    add(to, energy_kept_schema(), &row);
    for (size_t i = 0; i < PARTS; i++)
        msgpack_sbuffer_destroy(&part[i]);
}

/* --- reading: nothing of it is taken for granted -------------------------------------------------------- */

static bool take_floats(struct slice bytes, float *to, size_t room, uint32_t *count)
{
    if (bytes.size % sizeof *to || bytes.size / sizeof *to > room)
        return false;
    *count = (uint32_t)(bytes.size / sizeof *to);
    if (bytes.size)
        memcpy(to, bytes.data, bytes.size);
    for (uint32_t i = 0; i < *count; i++)
        if (!(to[i] >= 0 && to[i] <= 1e12f))
            return false;
    return true;
}

static bool take_window(struct slice bytes, int64_t next, struct window *to)
{
    to->next = (uint32_t)next;
    return take_floats(bytes, to->of, WINDOW, &to->count) && (to->count == WINDOW || to->next == to->count % WINDOW);
}

static bool take_samples(struct slice bytes, struct samples *to)
{
    if (bytes.size % sizeof *to->of || bytes.size > sizeof to->of)
        return false;
    to->count = (uint32_t)(bytes.size / sizeof *to->of);
    if (bytes.size)
        memcpy(to->of, bytes.data, bytes.size);
    for (uint32_t i = 0; i < to->count; i++)
        if (!(fabs(to->of[i].w) <= 1e12) || to->of[i].at_us < 1 || to->of[i].at_us > MAX_TIME_US
            || (i > 0 && to->of[i].at_us <= to->of[i - 1].at_us))
            return false;
    return true;
}

static bool take_background(const struct energy_kept_meter *row, struct background *to)
{
    if (row->background.size != sizeof to->of)
        return false;
    memcpy(to->of, row->background.data, sizeof to->of);
    to->at_us = row->background_at;
    for (size_t i = 0; i < 2 * OCTAVES; i++)
        if (!(to->of[i / OCTAVES][i % OCTAVES] >= 0 && to->of[i / OCTAVES][i % OCTAVES] < 1e9))
            return false;
    return true;
}

static void take_meter(const void *frame, struct kept *self)
{
    const struct energy_kept_meter *row = frame;
    int at = flow_find_meter(self->flow, row->entity_id, row->entity_id_size);
    if (at < 0)
        return;
    struct meter *meter = flow_meter(self->flow, (size_t)at), read = *meter;
    read.last = (struct sample){ row->last_at, row->last_w };
    read.left_us = row->left_at;
    if (take_window(row->sizes, row->sizes_next, &read.changes) && take_window(row->intervals, row->intervals_next, &read.intervals)
        && take_samples(row->steady, &read.steady) && take_samples(row->run, &read.run) && take_background(row, &read.background)
        && (read.run.count == 0 || read.left_us <= read.run.of[0].at_us))
        *meter = read;
}

static void take_change(const void *frame, struct kept *self)
{
    const struct energy_kept_change *row = frame;
    struct change c = { .at_us = row->at, .direction = (enum direction)row->direction, .used = (uint32_t)row->used,
        .is_action = row->marks & 1, .is_text = row->marks & 2, .is_switching = row->marks & 4, .is_learned = row->marks & 8 };
    memcpy(c.entity, row->entity_id, sizeof c.entity);
    memcpy(c.state, row->state, sizeof c.state);
    memcpy(c.previous, row->previous, sizeof c.previous);
    memcpy(c.detail, row->detail, sizeof c.detail);
    memcpy(c.detail_before, row->detail_before, sizeof c.detail_before);
    memcpy(c.device_id, row->device_id, sizeof c.device_id);
    flow_put_recent(self->flow, &c);
}

static void take_step(const void *frame, struct kept *self)
{
    const struct energy_kept_step *row = frame;
    int at = flow_find_meter(self->flow, row->meter, row->meter_size);
    if (at >= 0 && row->from <= row->to)
        flow_put_pending(self->flow, &(struct pending){ { row->from, row->to, row->before_w, row->after_w, row->noise_w }, (uint32_t)at });
}

static void take_device(const void *frame, struct kept *self)
{
    const struct energy_kept_device *row = frame;
    struct device read = { .changes = row->changes, .explained = row->explained, .next = (uint32_t)row->next,
        .changed_us = row->changed_at, .measured_us = row->measured_at,
        .lately_changed = row->lately_changed, .lately_explained = row->lately_explained };
    memcpy(read.entity, row->entity_id, sizeof read.entity);
    memcpy(read.detail, row->detail, sizeof read.detail);
    if (take_floats(row->deltas, read.deltas, DELTAS, &read.count) && read.next == (read.count == DELTAS ? read.next : read.count))
        *devices_find(self->devices, read.entity, true) = read;
}

typedef void take_fn(const void *row, struct kept *);

static void take_rows(struct slice rest, const struct schema *schema, void *row, take_fn *take, struct kept *self)
{
    struct slice one;
    struct fault fault;
    while (frame_next(&rest, &one))
        if (schema_decode(schema, one, row, &fault) == 0)
            take(row, self);
}

static void take_parts(const struct energy_kept *kept, struct kept *self)
{
    union { struct energy_kept_meter meter; struct energy_kept_change change; struct energy_kept_step step; struct energy_kept_device device; } row;
    take_rows(kept->meters, energy_kept_meter_schema(), &row, take_meter, self);
    take_rows(kept->changes, energy_kept_change_schema(), &row, take_change, self);
    take_rows(kept->steps, energy_kept_step_schema(), &row, take_step, self);
    take_rows(kept->devices, energy_kept_device_schema(), &row, take_device, self);
}

static void take_counts(struct slice bytes, struct kept *self)
{
    int64_t counts[COUNTS];
    struct flow_counts of_flow;
    if (bytes.size != sizeof counts)
        return;
    memcpy(counts, bytes.data, sizeof counts);
    for (size_t i = 0; i < COUNTS; i++)
        if (counts[i] < 0 || counts[i] > MAX_COUNT / 2)
            return;
    memcpy(&of_flow, counts, sizeof of_flow);
    flow_put_counts(self->flow, &of_flow);
    self->stored = counts[COUNTS - 2];
    self->refused = counts[COUNTS - 1];
}

int kept_decode(struct slice bytes, struct kept *self)
{
    struct energy_kept row;
    struct fault fault;
    if (schema_decode(energy_kept_schema(), bytes, &row, &fault) || row.version != VERSION)
        return -1;
    take_parts(&row, self);
    take_counts(row.counts, self);
    if (row.told.size == sizeof self->told)
        memcpy(self->told, row.told.data, sizeof self->told);
    if (row.has_late_from && row.has_late_to && row.late_from > 0 && row.late_from <= row.late_to) {
        self->late_from = row.late_from;
        self->late_to = row.late_to;
    }
    flow_start(self->flow, row.passed_at);
    return 0;
}

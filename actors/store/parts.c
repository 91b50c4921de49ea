/* parts.c - a row's body taken to pieces, and put together again to the byte. */
#include "body.h"
#include "pack.h"

static void read_context(struct unpack *in, enum context_form form, int64_t timestamp, struct context_part *c)
{
    c->form = form;
    if (form == TEXT_CONTEXT)
        c->text = unpack_slice(in);
    if (form == NEAR_ULID) {
        c->late_ms = unpack_number(in);
        uint64_t made = (uint64_t)(timestamp / 1000) - c->late_ms;
        for (int i = 0; i < 6; i++)
            c->bytes[i] = (uint8_t)(made >> (40 - 8 * i));
        memcpy(c->bytes + 6, unpack_bytes(in, 10), 10);
    } else if (form == FAR_ULID || form == HEX_CONTEXT) {
        memcpy(c->bytes, unpack_bytes(in, 16), 16);
    } else if (form > TEXT_CONTEXT) {
        in->bad = true;
    }
}

static void write_context(const struct context_part *c, msgpack_sbuffer *out)
{
    if (c->form == TEXT_CONTEXT)
        pack_slice(out, c->text);
    if (c->form == NEAR_ULID) {
        pack_number(out, c->late_ms);
        pack_bytes(out, c->bytes + 6, 10);
    } else if (c->form == FAR_ULID || c->form == HEX_CONTEXT) {
        pack_bytes(out, c->bytes, 16);
    }
}

static double read_real(struct unpack *in)
{
    double number;
    memcpy(&number, unpack_bytes(in, sizeof number), sizeof number);
    return number;
}

int parts_read(struct slice body, int64_t timestamp, struct body_parts *p)
{
    struct unpack in = unpack_of(body);
    const uint8_t *head = unpack_bytes(&in, 5);
    if (in.bad || head[0] != BODY_FORM)
        return -1;
    uint32_t flags = (uint32_t)head[1] | (uint32_t)head[2] << 8 | (uint32_t)head[3] << 16 | (uint32_t)head[4] << 24;
    *p = (struct body_parts){ .flags = flags, .snapshot = (int64_t)unpack_number(&in) };
    p->attributes = flags & HAS_ATTRIBUTES ? (int64_t)unpack_number(&in) : 0;
    p->readings = flags & HAS_READINGS ? (int64_t)unpack_number(&in) : 0;
    p->user = flags & HAS_USER ? (int64_t)unpack_number(&in) : 0;
    read_context(&in, flags >> CONTEXT_FORM & 7, timestamp, &p->contexts[OWN_CONTEXT]);
    read_context(&in, flags >> PARENT_FORM & 7, timestamp, &p->contexts[PARENT_CONTEXT]);
    p->received = unpack_signed(&in);
    p->updated = has_all(flags, HAS_UPDATED, UPDATED_IS_AT) ? unpack_signed(&in) : 0;
    p->changed = has_all(flags, HAS_CHANGED_AT, CHANGED_IS_AT) ? unpack_signed(&in) : 0;
    p->reported = has_all(flags, HAS_REPORTED, REPORTED_IS_AT) ? unpack_signed(&in) : 0;
    p->state = flags & HAS_STATE ? unpack_slice(&in) : (struct slice){ "", 0 };
    p->old_state = has_all(flags, HAS_OLD, OLD_IS_STATE) ? unpack_slice(&in) : (struct slice){ "", 0 };
    if (flags & DURATION_IN_US)
        p->duration_us = unpack_number(&in);
    else if (flags & HAS_DURATION)
        p->duration = read_real(&in);
    p->value = has_all(flags, HAS_VALUE, VALUE_IS_STATE) ? unpack_slice(&in) : (struct slice){ "", 0 };
    p->canonical = has_all(flags, HAS_CANONICAL, CANONICAL_IS_VALUE) ? read_real(&in) : 0;
    p->data = flags & HAS_DATA ? unpack_slice(&in) : (struct slice){ "", 0 };
    return in.bad || in.at != in.end || flags >> 31 ? -1 : 0;
}

void parts_write(const struct body_parts *p, msgpack_sbuffer *out)
{
    uint32_t flags = p->flags;
    uint8_t head[5] = { BODY_FORM, (uint8_t)flags, (uint8_t)(flags >> 8), (uint8_t)(flags >> 16), (uint8_t)(flags >> 24) };
    pack_bytes(out, head, sizeof head);
    pack_number(out, (uint64_t)p->snapshot);
    if (flags & HAS_ATTRIBUTES)
        pack_number(out, (uint64_t)p->attributes);
    if (flags & HAS_READINGS)
        pack_number(out, (uint64_t)p->readings);
    if (flags & HAS_USER)
        pack_number(out, (uint64_t)p->user);
    write_context(&p->contexts[OWN_CONTEXT], out);
    write_context(&p->contexts[PARENT_CONTEXT], out);
    pack_signed(out, p->received);
    if (has_all(flags, HAS_UPDATED, UPDATED_IS_AT))
        pack_signed(out, p->updated);
    if (has_all(flags, HAS_CHANGED_AT, CHANGED_IS_AT))
        pack_signed(out, p->changed);
    if (has_all(flags, HAS_REPORTED, REPORTED_IS_AT))
        pack_signed(out, p->reported);
    if (flags & HAS_STATE)
        pack_slice(out, p->state);
    if (has_all(flags, HAS_OLD, OLD_IS_STATE))
        pack_slice(out, p->old_state);
    if (flags & DURATION_IN_US)
        pack_number(out, p->duration_us);
    else if (flags & HAS_DURATION)
        pack_bytes(out, &p->duration, sizeof p->duration);
    if (has_all(flags, HAS_VALUE, VALUE_IS_STATE))
        pack_slice(out, p->value);
    if (has_all(flags, HAS_CANONICAL, CANONICAL_IS_VALUE))
        pack_bytes(out, &p->canonical, sizeof p->canonical);
    if (flags & HAS_DATA)
        pack_slice(out, p->data);
}

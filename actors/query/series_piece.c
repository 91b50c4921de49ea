/* series_piece.c - one entity's columns: their bytes. */
#include "series_inside.h"

#include <string.h>

static void piece_buffers(struct piece *p, msgpack_sbuffer *list[BUFFERS])
{
    msgpack_sbuffer *all[BUFFERS] = { &p->start, &p->numbers, &p->first_states, &p->last_states, &p->texts, &p->resets, &p->unavailable, &p->gaps,
        &p->lacking };
    memcpy(list, all, sizeof all);
}

void piece_clear(struct piece *p)
{
    msgpack_sbuffer *list[BUFFERS];
    piece_buffers(p, list);
    for (size_t i = 0; i < BUFFERS; i++)
        msgpack_sbuffer_clear(list[i]);
    p->count = p->open_from = p->next = 0;
    p->is_full = p->is_cut = p->lacks = false;
    p->tier = TIER_DAY;
}

size_t piece_bytes(struct piece *p)
{
    return p->start.size + p->numbers.size + p->first_states.size + p->last_states.size + p->texts.size + p->resets.size + p->unavailable.size + p->gaps.size
        + p->lacking.size; /* asked for with every row */
}

void piece_int(msgpack_sbuffer *to, int64_t n)
{
    msgpack_sbuffer_write(to, (const char *)&n, sizeof n);
}

void piece_reals(msgpack_sbuffer *to, const double *numbers, size_t count)
{
    msgpack_sbuffer_write(to, (const char *)numbers, count * sizeof *numbers);
}

void piece_comma(msgpack_sbuffer *to)
{
    if (to->size)
        msgpack_sbuffer_write(to, ",", 1);
}

void piece_text(msgpack_sbuffer *to, bool has, struct slice text)
{
    piece_comma(to);
    if (has)
        json_write_text(text, to);
    else
        msgpack_sbuffer_write(to, "null", 4);
}

/* Stretches that touch are one. */
int piece_stretch(void *owner, int64_t from_us, int64_t to_us)
{
    msgpack_sbuffer *to = owner;
    int64_t last;
    if (to->size && (memcpy(&last, to->data + to->size - sizeof last, sizeof last), last == from_us))
        to->size -= sizeof last;
    else
        piece_int(to, from_us);
    piece_int(to, to_us);
    return 0;
}

void piece_close(struct piece *p)
{
    msgpack_sbuffer *list[BUFFERS];
    piece_buffers(p, list);
    for (size_t i = 0; i < BUFFERS; i++)
        msgpack_sbuffer_destroy(list[i]);
}

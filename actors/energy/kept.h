/* kept.h - all that energy knows, in one file: written whole, of one moment of the events' own time.
 *
 * What is in it has been handed on; what comes after that moment is read from the store again. So a
 * kill neither loses a step nor finds one twice. */
#ifndef KEPT_H
#define KEPT_H

#include "flow.h"
#include "schemas.h"

enum { TOLD = 64 };

/* Which steps were told last, so that a time that is looked at again tells only what is new. */
struct told { int64_t at_us; uint64_t meter; };

struct kept {
    flow_t *flow;              /* with its meters, by the settings */
    devices_t *devices;
    struct told told[TOLD];    /* a ring */
    uint32_t told_next;
    int64_t late_from, late_to;/* to be looked at again; 0: nothing */
    int64_t stored, refused;
};

void kept_encode(const struct kept *, msgpack_sbuffer *);
/* Into a flow and devices that are new. 0, or -1: it cannot be read, and nothing has changed. Meters that the flow does
 * not have, and rows that are damaged in themselves, are left out. */
int kept_decode(struct slice, struct kept *);

#endif

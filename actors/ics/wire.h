/* wire.h - what a calendar and the program `ics` say to each other over one socket; both are of one build. */
#ifndef ICS_WIRE_H
#define ICS_WIRE_H

#include "ics.h"

/* The file follows, and then the end of what is said. */
struct ics_question { int64_t from_us, to_us; char zone[ZONE_NAME]; };

/* An event, or the end. The texts follow in this order. */
struct ics_said {
    int64_t from_us, to_us;
    uint64_t odd;                 /* of the end: what was left out */
    uint32_t summary, location, description; /* bytes; each at most ICS_COMPONENT */
    uint8_t is_end, is_calendar, is_all_day; /* 0 or not */
};

#endif

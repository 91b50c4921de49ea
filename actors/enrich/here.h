/* here.h - the home's place: what time of day it is there, and how high its sun stands. */
#ifndef HERE_H
#define HERE_H

#include "schemas.h"
#include "sun.h"
#include "zone.h"

struct here {
    zone_t *zone;             /* NULL: it is not known */
    bool has_place;
    int latitude, longitude;  /* hundredths of a degree: about a kilometre */
    int64_t quarter;          /* of an hour, since the epoch, whose time of day was asked for last */
    const char *time_of_day;
    struct sun sun;
};

void here_open(struct here *);
void here_close(struct here *);
const char *here_set(struct here *, const struct home_place *); /* NULL, or why its zone cannot be used */

/* night from 0 to 6, morning to 12, afternoon to 18, evening to 24 on the home's clock; NULL: its zone is not known. */
const char *here_time_of_day(struct here *, int64_t at_us);

/* Both, into a state that has its timestamp. */
void here_join(struct here *, struct event_full *);

#endif

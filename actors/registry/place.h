/* place.h - where the home is, as Home Assistant's configuration says. */
#ifndef PLACE_H
#define PLACE_H

#include "actor.h"

/* Asks Home Assistant, and publishes registry.home when it has answered. */
void place_ask(actor_t *, int deadline_ms);

#endif

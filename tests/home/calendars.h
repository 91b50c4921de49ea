/* calendars.h - the home's calendars, as Home Assistant's REST API tells them. */
#ifndef HOME_CALENDARS_H
#define HOME_CALENDARS_H

#include "text.h"

void calendars_list(struct text *);

/* What touches the span of the query. 0, or -1 as Home Assistant does (400): no such calendar, or no span. */
int calendars_events(struct text *, const char *entity, struct slice start, struct slice end);

#endif

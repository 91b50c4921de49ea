/* fuzz_calendar.c - what Home Assistant's calendars and the addresses of iCalendar files may say. */
#define SETTINGS "provider", "ics", "ics", "https://a/b.ics", "time_zone", "Europe/Berlin", "titles", "true"
#include "../upstream/fuzz_source.h"

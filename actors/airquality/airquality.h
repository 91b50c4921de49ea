/* airquality.h - who may be asked for the air; a file for each. */
#ifndef AIRQUALITY_H
#define AIRQUALITY_H

#include "aqi.h"
#include "source.h"

enum { STATION_SENSORS = 16 };

/* OpenAQ: the station that is asked, and which of its sensors measures what. */
struct station {
    int64_t id, found_us;       /* 0: none has been found */
    char name[96], place[40];   /* place: of the home, when it was found */
    struct { int64_t id; enum pollutant pollutant; double times; } sensors[STATION_SENSORS];
    size_t sensor_count;
};

struct self {
    struct airquality_config config;
    struct source_stats stats;
    source_t *source;
    struct station station;
};

extern const struct step air_model_steps[], airnow_steps[], openaq_steps[];

#endif

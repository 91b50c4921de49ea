/* weather.h - who may be asked for the weather; a file for each. */
#ifndef WEATHER_H
#define WEATHER_H

#include "source.h"

extern const struct step open_meteo_steps[], openweathermap_steps[];

#endif

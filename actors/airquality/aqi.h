/* aqi.h - the air quality index of the US EPA, from concentrations.
 *
 * Breakpoints: 40 CFR 58 appendix G as of 6 May 2024 (fine dust's are new there). Concentrations
 * are micrograms per cubic metre, as the providers have them; gases are turned into parts at 25 °C
 * and 1 atmosphere. */
#ifndef AQI_H
#define AQI_H

#include "schemas.h"

enum pollutant { PM2_5, PM10, OZONE, NO2, SO2, CO, POLLUTANTS };

/* The name, and the members of a reading that are its index and its concentration. */
struct pollutant_names { const char *name, *index, *concentration; };
extern const struct pollutant_names pollutant_names[POLLUTANTS];

/* Hours behind us, the newest first; NAN: not known. */
enum { AIR_HOURS = 24 };

/* The index, 0 to 500, or -1 where it is not known. Dust: NowCast of 12 hours; ozone and carbon
 * monoxide: mean of 8 hours; the others: the newest. */
int aqi_of_hours(enum pollutant, const double ug_m3[AIR_HOURS]);
int aqi_of_latest(enum pollutant, double ug_m3);

/* Ppm or ppb into micrograms per cubic metre: times this. */
double aqi_ug_per_ppb(enum pollutant);

/* Category and worst pollutant of the indices that a reading has; false if it has none. */
bool aqi_conclude(struct airquality_reading *, const char *basis);

#endif

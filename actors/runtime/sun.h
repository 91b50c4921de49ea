/* sun.h - how high the sun stands.
 *
 * NOAA's solar calculations (gml.noaa.gov/grad/solcalc/calcdetails.html), after J. Meeus, Astronomical
 * Algorithms: good to a hundredth of a degree from 1800 to 2100. Of the sun's middle, without refraction:
 * the air lifts it by half a degree at the horizon, and by less than a tenth above 10 degrees. */
#ifndef SUN_H
#define SUN_H

#include <stdint.h>

/* What is the same everywhere for ten minutes, and always at a latitude; { .slot = -1 } at first. A mere memory: the
 * answer is a function of the moment and the place alone. */
struct sun { int64_t slot; double declination_sine, declination_cosine, equation_minutes; int latitude; double north_sine, north_cosine; };

/* Degrees above the horizon, rounded to two decimals. Latitude and longitude in hundredths of a degree. */
double sun_elevation(struct sun *, int64_t at_us, int latitude, int longitude);

#endif

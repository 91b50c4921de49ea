/* sun.c - how high the sun stands: NOAA's solar calculations. */
#include "sun.h"

#include <math.h>

static const int64_t slot_us = INT64_C(600000000), day_us = INT64_C(86400000000);
static const double degree = 3.14159265358979323846 / 180;

/* Of the middle of the slot: the declination moves by a thousandth of a degree in it. */
static void look_up(struct sun *self, int64_t slot, int latitude)
{
    double days = ((double)slot + 0.5) * (double)slot_us / (double)day_us;
    double century = (days + 2440587.5 - 2451545) / 36525;
    double longitude = fmod(280.46646 + century * (36000.76983 + century * 0.0003032), 360) * degree;
    double anomaly = (357.52911 + century * (35999.05029 - century * 0.0001537)) * degree;
    double eccentricity = 0.016708634 - century * (0.000042037 + century * 0.0000001267);
    double centre = sin(anomaly) * (1.914602 - century * (0.004817 + century * 0.000014))
        + sin(2 * anomaly) * (0.019993 - century * 0.000101) + sin(3 * anomaly) * 0.000289;
    double node = (125.04 - 1934.136 * century) * degree;
    double apparent = longitude + (centre - 0.00569 - 0.00478 * sin(node)) * degree;
    double seconds = 21.448 - century * (46.815 + century * (0.00059 - century * 0.001813));
    double obliquity = (23 + (26 + seconds / 60) / 60 + 0.00256 * cos(node)) * degree;
    double y = tan(obliquity / 2) * tan(obliquity / 2);
    *self = (struct sun){ .slot = slot, .declination_sine = sin(obliquity) * sin(apparent), .latitude = latitude,
        .north_sine = sin(latitude / 100.0 * degree), .north_cosine = cos(latitude / 100.0 * degree) };
    self->declination_cosine = sqrt(1 - self->declination_sine * self->declination_sine);
    self->equation_minutes = 4 / degree * (y * sin(2 * longitude) - 2 * eccentricity * sin(anomaly)
        + 4 * eccentricity * y * sin(anomaly) * cos(2 * longitude) - 0.5 * y * y * sin(4 * longitude)
        - 1.25 * eccentricity * eccentricity * sin(2 * anomaly));
}

double sun_elevation(struct sun *self, int64_t at_us, int latitude, int longitude)
{
    if (at_us / slot_us != self->slot || latitude != self->latitude)
        look_up(self, at_us / slot_us, latitude);
    double minutes = (double)(at_us % day_us) / 60e6 + self->equation_minutes + 4 * longitude / 100.0;
    double hour = (minutes / 4 - 180) * degree;
    double sine = self->north_sine * self->declination_sine + self->north_cosine * self->declination_cosine * cos(hour);
    return round(asin(sine > 1 ? 1 : sine < -1 ? -1 : sine) / degree * 100) / 100 + 0.0; /* no -0 */
}

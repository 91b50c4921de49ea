/* rhythm.h - how each breed of entity begins and lives. */
#ifndef HOME_RHYTHM_H
#define HOME_RHYTHM_H

#include "world.h"

/* numbers.c: what is measured */
void begin_number(struct world *, struct entity *);
void live_temperature(struct world *, struct entity *);
void live_outdoor(struct world *, struct entity *);
void live_humidity(struct world *, struct entity *);
void live_illuminance(struct world *, struct entity *);
void live_battery(struct world *, struct entity *);
void live_voltage(struct world *, struct entity *);
void live_plug_power(struct world *, struct entity *);
void live_house_power(struct world *, struct entity *);
void live_solar_power(struct world *, struct entity *);
void begin_energy(struct world *, struct entity *);
void live_energy(struct world *, struct entity *);

/* actions.c: what is switched, moved and played */
void begin_light(struct world *, struct entity *);
void live_light(struct world *, struct entity *);
void begin_switch(struct world *, struct entity *);
void live_switch(struct world *, struct entity *);
void begin_binary(struct world *, struct entity *);
void live_motion(struct world *, struct entity *);
void live_door(struct world *, struct entity *);
void begin_automation(struct world *, struct entity *);
void begin_climate(struct world *, struct entity *);
void live_climate(struct world *, struct entity *);
void begin_media(struct world *, struct entity *);
void live_media(struct world *, struct entity *);
void light_set(struct world *, struct entity *, bool on, int64_t brightness, int64_t kelvin, const struct context *);
void switch_set(struct world *, struct entity *, bool on, const struct context *);
void media_set(struct world *, struct entity *, bool playing, const struct context *);
void climate_set(struct world *, struct entity *, int64_t target, bool heat, const struct context *);

/* surroundings.c: sky, people and odds and ends */
double sun_elevation(int64_t us); /* degrees */
double local_hour(int64_t us);    /* 0 <= h < 24, in the home's winter time */
int activity(int64_t us);         /* percent: how much people do at this hour */
void begin_sun(struct world *, struct entity *);
void live_sun(struct world *, struct entity *);
void begin_weather(struct world *, struct entity *);
void live_weather(struct world *, struct entity *);
void begin_tracker(struct world *, struct entity *);
void live_tracker(struct world *, struct entity *);
void begin_person(struct world *, struct entity *);
void begin_zone(struct world *, struct entity *);
void begin_update(struct world *, struct entity *);
void live_update(struct world *, struct entity *);
void begin_select(struct world *, struct entity *);
void live_select(struct world *, struct entity *);
void begin_button(struct world *, struct entity *);
void live_button(struct world *, struct entity *);
void begin_helper(struct world *, struct entity *);
void live_helper(struct world *, struct entity *);
void begin_odd(struct world *, struct entity *);
void live_odd(struct world *, struct entity *);

/* The attributes end with the name that people see. */
void say_friendly_name(struct text *, const struct entity *);

#endif

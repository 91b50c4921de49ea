/* recorded.c - which attributes Home Assistant's recorder keeps, and which domains are special to it. */
#include "recorded.h"

static bool in_list(const char *const *list, struct slice word)
{
    for (; *list; list++)
        if (slice_is(word, *list))
            return true;
    return false;
}

static struct slice domain_of(struct slice entity_id)
{
    const char *dot = memchr(entity_id.data, '.', entity_id.size);

    return (struct slice){entity_id.data, dot ? (size_t)(dot - (const char *)entity_id.data) : entity_id.size};
}

bool recorded_is_significant(struct slice entity_id)
{
    static const char *const domains[] = {
        "climate", "device_tracker", "humidifier", "thermostat", "water_heater", NULL};

    return in_list(domains, domain_of(entity_id));
}

bool recorded_needs_attributes(struct slice entity_id)
{
    static const char *const domains[] = {
        "climate", "humidifier", "input_datetime", "thermostat", "water_heater", NULL};

    return in_list(domains, domain_of(entity_id));
}

/* What the recorder leaves out of everybody's attributes, and of those of a domain. */
static const char *const never_kept[] = {"attribution", "restored", "supported_features", NULL};
static const struct {
    bool newer; /* not yet in 2024.3 */
    const char *domain, *keys[16];
} unrecorded[] = {
    {false, "automation", {"last_triggered", "mode", "current", "max", "id"}},
    {false, "climate",
        {"hvac_modes", "fan_modes", "swing_modes", "min_temp", "max_temp", "min_humidity", "max_humidity",
            "target_temp_step", "preset_modes"}},
    {false, "light",
        {"supported_color_modes", "effect_list", "min_mireds", "max_mireds", "min_color_temp_kelvin",
            "max_color_temp_kelvin"}},
    {true, "light",
        {"brightness", "color_mode", "color_temp", "color_temp_kelvin", "effect", "hs_color", "rgb_color", "rgbw_color",
            "rgbww_color", "xy_color"}},
    {false, "media_player",
        {"entity_picture_local", "entity_picture", "source_list", "media_position_updated_at", "media_position",
            "sound_mode_list"}},
    {false, "person", {"device_trackers"}},
    {false, "select", {"options"}},
    {false, "sun",
        {"azimuth", "elevation", "rising", "next_dawn", "next_dusk", "next_midnight", "next_noon", "next_rising",
            "next_setting"}},
    {false, "update", {"entity_picture", "in_progress", "release_summary"}},
    {false, "weather", {"forecast"}},
};

bool recorded_key(struct slice entity_id, struct slice quoted_key, bool as_2024_3)
{
    struct slice key = {(const char *)quoted_key.data + 1, quoted_key.size - 2};

    if (in_list(never_kept, key))
        return false;
    for (size_t i = 0; i < sizeof unrecorded / sizeof *unrecorded; i++)
        if (!(unrecorded[i].newer && as_2024_3) &&
            slice_is(domain_of(entity_id), unrecorded[i].domain) && in_list(unrecorded[i].keys, key))
            return false;
    return true;
}

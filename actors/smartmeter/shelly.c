/* shelly.c - Shelly energy meters at home: EM and 3EM (Gen1), Pro EM, Pro 3EM, EM Gen3 and later (RPC). */
#include "smartmeter.h"

#include <stdio.h>
#include <string.h>

enum { PHASES = 3, CHANNELS = 4 };

static void log_in(source_t *source, struct fetch *fetch, bool is_digest)
{
    const struct smartmeter_config *config = &source_self(source)->config;
    if (!config->has_password)
        return;
    fetch->user = config->has_user ? config->user : "admin";
    fetch->password = config->password;
    fetch->is_digest = is_digest;
}

/* Which it is, it says without a password; once is enough, until it says something else than such a one does. */
static int ask_what(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    (void)fetch;
    snprintf(path, size, "/shelly");
    return source_self(source)->is_known;
}

static int read_what(source_t *source, struct json_value root, struct fault *fault)
{
    json_t *json = source_json(source);
    double generation = 1;
    *fault = (struct fault){ "shelly", "does not say what it is" };
    if (root.kind != JSON_OBJECT || (json_at(json, root.raw, "mac").kind != JSON_TEXT && json_at(json, root.raw, "id").kind != JSON_TEXT))
        return -1;
    pick_number(json, root.raw, "gen", &generation);
    source_self(source)->generation = generation >= 2 ? 2 : 1;
    return 0;
}

static bool is_other(source_t *source, int generation)
{
    struct self *self = source_self(source);
    if (self->generation != generation)
        return true;
    self->is_known = false; /* until it has answered */
    return false;
}

static int ask_status(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    snprintf(path, size, "/status");
    log_in(source, fetch, false);
    return is_other(source, 1);
}

static int ask_rpc(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    snprintf(path, size, "/rpc/Shelly.GetStatus");
    log_in(source, fetch, true);
    return is_other(source, 2);
}

static int none(struct fault *fault, const char *field, const char *why)
{
    *fault = (struct fault){ field, why };
    return -1;
}

/* Numbers of one phase or channel; null and what is not there are unknown. */
struct channel { double power_w, import_wh, export_wh; bool has_power, has_import, has_export; };

static void put(source_t *source, const char *member, double value)
{
    source_odd(source, !pick_put(smartmeter_reading_schema(), member, value, source_draft(source)));
}

static void put_phase(source_t *source, json_t *json, struct slice object, int phase, const char *voltage, const char *current, const struct channel *channel)
{
    char member[24];
    double value;
    if (channel->has_power) {
        snprintf(member, sizeof member, "power_l%d_w", phase + 1);
        put(source, member, channel->power_w);
    }
    snprintf(member, sizeof member, "voltage_l%d_v", phase + 1);
    if (pick_number(json, object, voltage, &value))
        put(source, member, value);
    snprintf(member, sizeof member, "current_l%d_a", phase + 1);
    if (pick_number(json, object, current, &value))
        put(source, member, value);
}

/* The sum of all, known where each is: half a house's power is none. */
static void put_sums(source_t *source, const struct channel *channels, size_t count)
{
    double power_w = 0, import_wh = 0, export_wh = 0;
    bool has_power = count > 0, has_import = count > 0, has_export = count > 0;
    for (size_t i = 0; i < count; i++) {
        power_w += channels[i].power_w, import_wh += channels[i].import_wh, export_wh += channels[i].export_wh;
        has_power = has_power && channels[i].has_power;
        has_import = has_import && channels[i].has_import;
        has_export = has_export && channels[i].has_export;
    }
    if (has_power)
        put(source, "power_w", power_w);
    if (has_import)
        put(source, "import_kwh", import_wh / 1000);
    if (has_export)
        put(source, "export_kwh", export_wh / 1000);
}

static int finish(source_t *source, struct fault *fault)
{
    struct smartmeter_reading *reading = source_draft(source);
    source_self(source)->is_known = true;
    SET(reading, as_of, source_now_us(source)); /* its own clock is of seconds, and null before it has asked for the time */
    if (reading->has_power_w || reading->has_import_kwh || reading->has_export_kwh)
        return meter_finish(source, fault);
    return none(fault, "emeters", "have no value that is valid");
}

static void add_channel(source_t *source, const char *name, const struct channel *channel)
{
    circuits_add(&source_self(source)->circuits, name, NULL, channel->has_power ? &channel->power_w : NULL);
}

/* --- Gen1 ----------------------------------------------------------------------------------------------- */

static bool read_emeter(json_t *json, struct json_value meter, struct channel *channel)
{
    *channel = (struct channel){ .has_power = false };
    if (meter.kind != JSON_OBJECT)
        return false;
    if (json_at(json, meter.raw, "is_valid").kind != JSON_TRUE)
        return true; /* it is there, and does not know */
    channel->has_power = pick_number(json, meter.raw, "power", &channel->power_w);
    channel->has_import = pick_number(json, meter.raw, "total", &channel->import_wh);
    channel->has_export = pick_number(json, meter.raw, "total_returned", &channel->export_wh);
    return true;
}

/* 3EM: three phases of one supply. EM: two clamps; the first is the house's, the other a circuit's. */
static int read_status(source_t *source, struct json_value root, struct fault *fault)
{
    json_t *json = source_json(source);
    struct channel channels[CHANNELS];
    char path[24];
    size_t count = 0;
    if (root.kind != JSON_OBJECT || json_at(json, root.raw, "emeters").kind != JSON_ARRAY)
        return none(fault, "emeters", "is no array: this is no Shelly EM");
    for (; count < CHANNELS; count++) {
        snprintf(path, sizeof path, "emeters.%zu", count);
        if (!read_emeter(json, json_at(json, root.raw, path), &channels[count]))
            break;
    }
    circuits_clear(&source_self(source)->circuits);
    for (size_t i = 0; i < count; i++) {
        snprintf(path, sizeof path, "emeters.%zu", i);
        struct json_value meter = json_at(json, root.raw, path);
        if ((count == PHASES || i == 0) && json_at(json, meter.raw, "is_valid").kind == JSON_TRUE)
            put_phase(source, json, meter.raw, (int)i, "voltage", "current", &channels[i]);
        snprintf(path, sizeof path, "channel %zu", i + 1);
        if (count != PHASES)
            add_channel(source, path, &channels[i]);
    }
    put_sums(source, channels, count == PHASES ? PHASES : count > 0);
    return finish(source, fault);
}

/* --- RPC -------------------------------------------------------------------------------------------------- */

static void read_triphase(source_t *source, json_t *json, struct slice em, struct slice data)
{
    static const char phases[PHASES + 1] = "abc";
    struct channel sum = { .has_power = false };
    for (int i = 0; i < PHASES; i++) {
        char power[24], voltage[24], current[24];
        snprintf(power, sizeof power, "%c_act_power", phases[i]);
        snprintf(voltage, sizeof voltage, "%c_voltage", phases[i]);
        snprintf(current, sizeof current, "%c_current", phases[i]);
        struct channel channel = { .has_power = false };
        channel.has_power = pick_number(json, em, power, &channel.power_w);
        put_phase(source, json, em, i, voltage, current, &channel);
    }
    sum.has_power = pick_number(json, em, "total_act_power", &sum.power_w);
    sum.has_import = data.size > 0 && pick_number(json, data, "total_act", &sum.import_wh);
    sum.has_export = data.size > 0 && pick_number(json, data, "total_act_ret", &sum.export_wh);
    put_sums(source, &sum, 1);
}

/* Channels by themselves: the first is the house's. */
static size_t read_channels(source_t *source, json_t *json, struct slice root)
{
    size_t count = 0;
    for (int i = 0; i < CHANNELS; i++) {
        char name[24];
        struct channel channel = { .has_power = false };
        snprintf(name, sizeof name, "em1:%d", i);
        struct json_value em = json_at(json, root, name);
        snprintf(name, sizeof name, "em1data:%d", i);
        struct json_value data = json_at(json, root, name);
        if (em.kind != JSON_OBJECT)
            continue;
        channel.has_power = pick_number(json, em.raw, "act_power", &channel.power_w);
        channel.has_import = data.kind == JSON_OBJECT && pick_number(json, data.raw, "total_act_energy", &channel.import_wh);
        channel.has_export = data.kind == JSON_OBJECT && pick_number(json, data.raw, "total_act_ret_energy", &channel.export_wh);
        if (i == 0) {
            put_phase(source, json, em.raw, 0, "voltage", "current", &channel);
            put_sums(source, &channel, 1);
        }
        snprintf(name, sizeof name, "channel %d", i + 1);
        add_channel(source, name, &channel);
        count++;
    }
    return count;
}

static int read_rpc(source_t *source, struct json_value root, struct fault *fault)
{
    json_t *json = source_json(source);
    if (root.kind != JSON_OBJECT)
        return none(fault, "em:0", "is missing");
    struct json_value em = json_at(json, root.raw, "em:0"), data = json_at(json, root.raw, "emdata:0");
    circuits_clear(&source_self(source)->circuits);
    if (em.kind == JSON_OBJECT)
        read_triphase(source, json, em.raw, data.kind == JSON_OBJECT ? data.raw : (struct slice){ NULL, 0 });
    else if (read_channels(source, json, root.raw) == 0)
        return none(fault, "em:0", "is missing, and em1:0 too: this is no Shelly that measures a house");
    return finish(source, fault);
}

const struct step shelly_steps[] = {
    { .ask = ask_what, .read = read_what },
    { .ask = ask_status, .read = read_status, .passing = 404 },
    { .ask = ask_rpc, .read = read_rpc, .passing = 404 },
    { .read = NULL },
};

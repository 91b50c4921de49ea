/* fuzz_energy.c - what energy has kept on the disk, damaged; and samples and changes after it. */
#include "kept.h"

#include <stdio.h>
#include <string.h>

static bool on_found(void *owner, const struct found *found)
{
    (void)owner;
    return found->count < CANDIDATES;
}

static void go_on(flow_t *flow)
{
    int64_t at_us = flow_passed_us(flow);
    struct change change = { .is_text = true, .state = "on", .previous = "off" };
    for (int i = 1; i < 60 && at_us < MAX_TIME_US - INT64_C(200000000); i++) {
        at_us += 1000000;
        flow_sample(flow, 0, (struct sample){ at_us, i > 30 ? 460 : 400 });
        snprintf(change.entity, sizeof change.entity, "light.lamp_%d", i / 20);
        change.at_us = at_us + 1;
        if (i % 20 == 10)
            flow_change(flow, &change);
        flow_pass(flow, at_us - 3000000);
    }
    flow_pass(flow, at_us + 10000000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct flow_options options = { { 10, 10000000 }, 5000000, 0.6 };
    struct kept kept = { .devices = devices_new() };
    msgpack_sbuffer again = { 0 };
    kept.flow = flow_new(&options, kept.devices, false, on_found, NULL);
    flow_add_meter(kept.flow, "sensor.house_power", true);
    flow_add_meter(kept.flow, "_smartmeter.power_w", false);
    if (kept_decode((struct slice){ data, size }, &kept) == 0) {
        go_on(kept.flow);
        kept_encode(&kept, &again);
    }
    msgpack_sbuffer_destroy(&again);
    flow_destroy(&kept.flow);
    devices_destroy(&kept.devices);
    return 0;
}

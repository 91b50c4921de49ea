/* prices.c - what a kilowatt-hour costs, taxes and fees included, and how long. */
#include "electricity.h"

#include <math.h>
#include <string.h>

static const int64_t day_us = INT64_C(86400000000), hour_us = INT64_C(3600000000), quarter_us = INT64_C(900000000);

void prices_span(const source_t *source, int64_t *from_us, int64_t *to_us)
{
    int64_t today_us = source_now_us(source) / day_us * day_us;
    *from_us = today_us - day_us;
    *to_us = today_us + 3 * day_us;
}

/* Eight decimals: 85.31 / 1000 is 0.08531 and not some binary neighbour of it. */
static double rounded(double price)
{
    return round(price * 1e8) / 1e8;
}

static bool is_price(double price)
{
    return price >= -10000 && price <= 10000;
}

static void set_price(source_t *source, struct electricity_slot *slot, double gross)
{
    const struct electricity_config *config = &source_self(source)->config;
    gross = rounded(gross + (config->has_fee_after_vat ? config->fee_after_vat : 0));
    if (is_price(gross))
        SET(slot, price, gross);
}

void price_of_market(source_t *source, struct electricity_slot *slot, double market)
{
    const struct electricity_config *config = &source_self(source)->config;
    double net = market * (config->has_factor ? config->factor : 1) + (config->has_fee ? config->fee : 0);
    if (!is_price(market) || !is_price(net))
        return;
    SET(slot, market, rounded(market));
    SET(slot, net, rounded(net));
    set_price(source, slot, net * (1 + (config->has_vat_percent ? config->vat_percent : 0) / 100));
}

void price_of_bill(source_t *source, struct electricity_slot *slot, double gross)
{
    set_price(source, slot, gross);
}

void slot_currency(struct electricity_slot *slot, const char *currency)
{
    if (*currency)
        SET_TEXT(slot, currency, currency, strlen(currency));
}

/* Of two distances the one that is a step; 0: neither is. */
static int64_t step_of(int64_t before_us, int64_t behind_us)
{
    int64_t us = behind_us > 0 ? behind_us : before_us;
    if (before_us > 0 && before_us < us)
        us = before_us;
    return us > hour_us ? 0 : us;
}

static int64_t from_of(source_t *source, size_t index)
{
    const struct electricity_slot *slot = source_slot_at(source, index, false);
    return slot && slot->has_from ? slot->from : -1;
}

void prices_end_slots(source_t *source)
{
    size_t count = source_draft_slots(source);
    for (size_t i = 0; i < count; i++) {
        int64_t at_us = from_of(source, i), before_us = i ? from_of(source, i - 1) : -1, behind_us = from_of(source, i + 1);
        int64_t us = step_of(before_us >= 0 ? at_us - before_us : 0, behind_us >= 0 ? behind_us - at_us : 0);
        struct electricity_slot *slot = source_slot_at(source, i, false);
        if (at_us >= 0)
            SET(slot, to, at_us + (us > 0 ? us : quarter_us));
    }
}

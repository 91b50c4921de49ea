/* entsoe.c - ENTSO-E's transparency platform: the exchanges' prices in Europe; XML, a token. */
#include "electricity.h"

#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS_MAX = 1000, DEPTH_MAX = 16, TEXT_MAX = 64 };

static const struct { const char *area, *code; } areas[] = {
    { "DE-LU", "10Y1001A1001A82H" }, { "AT", "10YAT-APG------L" }, { "NL", "10YNL----------L" }, { "FR", "10YFR-RTE------C" },
    { "BE", "10YBE----------2" }, { "CH", "10YCH-SWISSGRIDZ" }, { "DK1", "10YDK-1--------W" }, { "DK2", "10YDK-2--------M" },
    { "SE3", "10Y1001A1001A46L" }, { "NO1", "10YNO-1--------2" }, { "FI", "10YFI-1--------U" }, { "ES", "10YES-REE------0" },
    { "PL", "10YPL-AREA-----S" },
};

const char *entsoe_code(const char *area)
{
    for (size_t i = 0; i < sizeof areas / sizeof *areas; i++)
        if (strcmp(areas[i].area, area) == 0)
            return areas[i].code;
    return strlen(area) == 16 && strncmp(area, "10Y", 3) == 0 ? area : NULL;
}

/* 202611222300 */
static void tell_time(int64_t at_us, char to[64])
{
    char text[TIME_TEXT];
    time_text(at_us, text);
    snprintf(to, 64, "%.4s%.2s%.2s%.2s%.2s", text, text + 5, text + 8, text + 11, text + 14);
}

static int ask(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    struct self *self = source_self(source);
    int64_t from_us, to_us;
    prices_span(source, &from_us, &to_us);
    snprintf(path, size, "/api");
    tell_time(from_us, self->words[0]);
    tell_time(to_us, self->words[1]);
    snprintf(self->words[2], sizeof self->words[2], "%s", entsoe_code(source_setting(source, "area")));
    fetch->query[0] = (struct pair){ "securityToken", source_setting(source, "token") };
    fetch->query[1] = (struct pair){ "documentType", "A44" };
    fetch->query[2] = (struct pair){ "in_Domain", self->words[2] };
    fetch->query[3] = (struct pair){ "out_Domain", self->words[2] };
    fetch->query[4] = (struct pair){ "periodStart", self->words[0] };
    fetch->query[5] = (struct pair){ "periodEnd", self->words[1] };
    fetch->query[6] = (struct pair){ "contract_MarketAgreement.type", "A01" };
    return 0;
}

/* --- the document -------------------------------------------------------------------------------- */

/* What has been read of a TimeSeries, its Period, and a Point of that. */
struct series { char currency[4], curve[4], unit[8]; int position; };
struct period { int64_t start_us, end_us, step_us; double prices[POINTS_MAX]; bool has[POINTS_MAX]; };
struct point_read { int position; bool has_price; double price; };

struct document {
    source_t *source;
    XML_Parser parser;
    int depth;
    bool has_root, is_prices, is_odd;
    char text[TEXT_MAX];
    size_t text_size;
    struct series series;
    struct period period;
    struct point_read point;
    size_t series_begin; /* the first slot of this TimeSeries */
};

/* Without the prefix of the namespace, whose version moves. */
static const char *local(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon ? colon + 1 : name;
}

static void on_start(void *owner, const char *name, const char **attributes)
{
    struct document *self = owner;
    (void)attributes;
    name = local(name);
    if (++self->depth > DEPTH_MAX) {
        XML_StopParser(self->parser, XML_FALSE);
        return;
    }
    self->text_size = 0;
    if (!self->has_root)
        self->is_prices = strcmp(name, "Publication_MarketDocument") == 0;
    self->has_root = true;
    if (strcmp(name, "TimeSeries") == 0) {
        self->series = (struct series){ .position = 1 };
        self->series_begin = source_draft_slots(self->source);
    } else if (strcmp(name, "Period") == 0)
        memset(&self->period, 0, sizeof self->period);
    else if (strcmp(name, "Point") == 0)
        self->point = (struct point_read){ 0 };
}

static void on_text(void *owner, const char *text, int size)
{
    struct document *self = owner;
    for (int i = 0; i < size && self->text_size < TEXT_MAX; i++)
        if (text[i] != ' ' && text[i] != '\n' && text[i] != '\r' && text[i] != '\t')
            self->text[self->text_size++] = text[i];
}

/* No document of theirs has one, and what can be done with one is nothing good. */
static void on_doctype(void *owner, const char *name, const char *system, const char *public, int has_internal)
{
    struct document *self = owner;
    (void)name, (void)system, (void)public, (void)has_internal;
    XML_StopParser(self->parser, XML_FALSE);
}

static void end_point(struct document *self)
{
    if (!self->point.has_price || self->point.position < 1 || self->point.position > POINTS_MAX) {
        source_odd(self->source, 1);
        return;
    }
    self->period.prices[self->point.position - 1] = self->point.price;
    self->period.has[self->point.position - 1] = true;
}

static void put_slot(struct document *self, int64_t from_us, double price)
{
    struct electricity_slot *slot = source_slot(self->source);
    if (!slot)
        return;
    SET(slot, from, from_us);
    SET(slot, to, from_us + self->period.step_us);
    price_of_market(self->source, slot, price / 1000);
}

/* Curve A03 leaves out what is as before; in any other, what is left out is not known. */
static void end_period(struct document *self)
{
    const struct period *p = &self->period;
    bool repeats = strcmp(self->series.curve, "A03") == 0, is_known = false;
    double price = 0;
    if (p->step_us <= 0 || p->start_us <= 0 || p->end_us <= p->start_us || (p->end_us - p->start_us) / p->step_us > POINTS_MAX) {
        self->is_odd = true;
        return;
    }
    int64_t count = (p->end_us - p->start_us) / p->step_us;
    for (int64_t i = 0; i < count; i++) {
        is_known = p->has[i] || (repeats && is_known);
        price = p->has[i] ? p->prices[i] : price;
        if (is_known)
            put_slot(self, p->start_us + i * p->step_us, price);
    }
}

/* Only here is it sure that all has been said of it. Position 1 is the day-ahead auction's. */
static void end_series(struct document *self)
{
    bool is_ours = self->series.position == 1 && strcmp(self->series.unit, "MWH") == 0 && strlen(self->series.currency) == 3;
    for (size_t i = self->series_begin; i < source_draft_slots(self->source); i++) {
        struct electricity_slot *slot = source_slot_at(self->source, i, false);
        if (is_ours)
            slot_currency(slot, self->series.currency);
        else
            slot->has_price = false; /* none, so it goes */
    }
}

static void keep_text(struct document *self, char *to, size_t room)
{
    snprintf(to, room, "%.*s", (int)self->text_size, self->text);
}

static int64_t read_resolution(const struct document *self)
{
    static const struct { const char *text; int minutes; } known[] = { { "PT15M", 15 }, { "PT30M", 30 }, { "PT60M", 60 }, { "PT1H", 60 } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].text) == self->text_size && memcmp(known[i].text, self->text, self->text_size) == 0)
            return known[i].minutes * INT64_C(60000000);
    return 0;
}

static int read_whole(const struct document *self)
{
    double number;
    bool is_number = number_read((struct slice){ self->text, self->text_size }, &number);
    return is_number && number >= 0 && number <= POINTS_MAX ? (int)number : 0;
}

static void on_end(void *owner, const char *name)
{
    struct document *self = owner;
    struct slice text = { self->text, self->text_size };
    name = local(name);
    self->depth--;
    if (strcmp(name, "currency_Unit.name") == 0)
        keep_text(self, self->series.currency, sizeof self->series.currency);
    else if (strcmp(name, "price_Measure_Unit.name") == 0)
        keep_text(self, self->series.unit, sizeof self->series.unit);
    else if (strcmp(name, "curveType") == 0)
        keep_text(self, self->series.curve, sizeof self->series.curve);
    else if (strcmp(name, "classificationSequence_AttributeInstanceComponent.position") == 0)
        self->series.position = read_whole(self);
    else if (strcmp(name, "resolution") == 0)
        self->period.step_us = read_resolution(self);
    else if (strcmp(name, "start") == 0)
        time_of_text(text, &self->period.start_us);
    else if (strcmp(name, "end") == 0)
        time_of_text(text, &self->period.end_us);
    else if (strcmp(name, "position") == 0)
        self->point.position = read_whole(self);
    else if (strcmp(name, "price.amount") == 0)
        self->point.has_price = number_read(text, &self->point.price);
    else if (strcmp(name, "Point") == 0)
        end_point(self);
    else if (strcmp(name, "Period") == 0)
        end_period(self);
    else if (strcmp(name, "TimeSeries") == 0)
        end_series(self);
    self->text_size = 0;
}

/* Of slots that overlap the finer ones stay. */
static void drop_coarse(source_t *source)
{
    size_t count = source_draft_slots(source);
    for (size_t i = 0; i < count; i++) {
        struct electricity_slot *slot = source_slot_at(source, i, false);
        for (size_t k = 0; k < count && slot->has_price; k++) {
            const struct electricity_slot *other = source_slot_at(source, k, false);
            bool overlaps = other->has_price && other->from < slot->to && slot->from < other->to;
            if (overlaps && other->to - other->from < slot->to - slot->from)
                slot->has_price = false;
        }
    }
}

static bool parse(struct document *self, struct slice text)
{
    self->parser = XML_ParserCreate(NULL);
    if (!self->parser)
        abort();
    XML_SetUserData(self->parser, self);
    XML_SetElementHandler(self->parser, on_start, on_end);
    XML_SetCharacterDataHandler(self->parser, on_text);
    XML_SetStartDoctypeDeclHandler(self->parser, on_doctype);
    bool is_whole = XML_Parse(self->parser, text.data, (int)text.size, 1) == XML_STATUS_OK;
    XML_ParserFree(self->parser);
    return is_whole;
}

static int read_answer(source_t *source, struct json_value root, struct fault *fault)
{
    struct document *document = calloc(1, sizeof *document);
    if (!document)
        abort();
    document->source = source;
    *fault = (struct fault){ "", "is no XML that can be read" };
    bool is_whole = parse(document, root.raw), is_prices = document->is_prices;
    if (is_whole && !is_prices)
        *fault = (struct fault){ "", "says that there are no prices" };
    source_odd(source, document->is_odd);
    free(document);
    if (!is_whole || !is_prices)
        return -1;
    drop_coarse(source);
    return 0;
}

const struct step entsoe_steps[] = { { .ask = ask, .read = read_answer, .is_text = true, .passing = 400 }, { .read = NULL } };

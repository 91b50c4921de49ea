/* pick.c - numbers, words and times out of an answer whose author may say anything. */
#include "pick.h"
#include "row.h"

#include <math.h>
#include <string.h>

bool number_of_value(json_t *json, struct json_value value, double *number)
{
    struct slice text;
    if (value.kind == JSON_NUMBER)
        return json_real(value, number);
    if (value.kind == JSON_TRUE || value.kind == JSON_FALSE) {
        *number = value.kind == JSON_TRUE;
        return true;
    }
    return value.kind == JSON_TEXT && json_text(json, value, &text) && number_read(text, number);
}

bool pick_number(json_t *json, struct slice object, const char *path, double *number)
{
    return number_of_value(json, json_at(json, object, path), number);
}

bool pick_text(json_t *json, struct slice object, const char *path, char *to, size_t size)
{
    struct slice text;
    if (!json_text(json, json_at(json, object, path), &text) || text.size >= size || !text_is_plain(text))
        return false;
    memcpy(to, text.data, text.size);
    to[text.size] = '\0';
    return true;
}

/* --- times -------------------------------------------------------------------------------------- */

enum { MINUTE = 16, SECOND = 19 }; /* "2026-11-23T08:15", ":00" */

bool time_of_text(struct slice text, int64_t *at_us)
{
    char copy[48];
    const char *from = text.data;
    if (text.size < MINUTE || text.size > sizeof copy - 5)
        return false;
    bool has_seconds = text.size > MINUTE && from[MINUTE] == ':';
    size_t head = has_seconds ? SECOND : MINUTE, n = 0;
    if (text.size < head)
        return false;
    memcpy(copy, from, head);
    n = head;
    if (!has_seconds) {
        memcpy(copy + n, ":00", 3);
        n += 3;
    }
    memcpy(copy + n, from + head, text.size - head);
    n += text.size - head;
    if (!memchr(from + head, 'Z', text.size - head) && !memchr(from + head, '+', text.size - head) && !memchr(from + head, '-', text.size - head))
        copy[n++] = 'Z';
    if (copy[10] == ' ')
        copy[10] = 'T';
    return time_read((struct slice){ copy, n }, at_us) == 0;
}

bool time_of_value(json_t *json, struct json_value value, int64_t *at_us)
{
    struct slice text;
    double seconds;
    if (value.kind == JSON_TEXT)
        return json_text(json, value, &text) && time_of_text(text, at_us);
    if (value.kind != JSON_NUMBER || !json_real(value, &seconds) || seconds < 0 || seconds > (double)(MAX_TIME_US / 1000000))
        return false;
    *at_us = time_from_seconds(seconds);
    return *at_us >= 0;
}

bool pick_time(json_t *json, struct slice object, const char *path, int64_t *at_us)
{
    return time_of_value(json, json_at(json, object, path), at_us);
}

/* --- members --------------------------------------------------------------------------------------- */

bool pick_put(const struct schema *schema, const char *member, double number, void *message)
{
    const struct field *f = schema_field(schema, member, strlen(member));
    assert(f);
    if (f->kind == FLAG_KIND)
        return !row_put_flag(f, number != 0, message);
    if (f->kind == INT_KIND)
        return fabs(number) < 1e15 && !row_put_int(f, llround(number), message);
    return !row_put_real(f, number, message);
}

size_t pick_members(json_t *json, struct slice object, const struct pick *picks, size_t count, const struct schema *schema, void *message)
{
    size_t odd = 0;
    for (const struct pick *p = picks; p < picks + count; p++) {
        struct json_value value = json_at(json, object, p->path);
        double number;
        if (value.kind == JSON_NOTHING || value.kind == JSON_NULL)
            continue;
        if (!number_of_value(json, value, &number) || !pick_put(schema, p->member, p->times != 0 ? number * p->times : number, message))
            odd++;
    }
    return odd;
}

struct column { json_t *json; const struct pick *pick; column_fn *each; void *owner; size_t index; };

static int take_item(void *owner, struct json_value item)
{
    struct column *self = owner;
    double number;
    if (number_of_value(self->json, item, &number))
        self->each(self->owner, self->index, self->pick->member, self->pick->times != 0 ? number * self->pick->times : number);
    self->index++;
    return 0;
}

size_t pick_columns(json_t *json, struct slice object, const struct pick *picks, size_t count, column_fn *each, void *owner)
{
    size_t longest = 0;
    for (const struct pick *p = picks; p < picks + count; p++) {
        struct json_value array = json_at(json, object, p->path);
        struct column column = { .json = json, .pick = p, .each = each, .owner = owner };
        if (array.kind == JSON_ARRAY)
            json_each_item(json, array.raw, take_item, &column);
        longest = column.index > longest ? column.index : longest;
    }
    return longest;
}

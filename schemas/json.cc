/* json.cc - the only file that knows simdjson; C callers see json.h.
 *
 * simdjson's first stage finds where every token begins and checks UTF-8, quotes and control
 * characters, without a copy. The tokens are then walked once by the grammar (numbers and
 * escapes included), noting where each bracket closes; after that a member is picked by
 * stepping over what lies between, however large. Nothing is converted: a value is its bytes. */
#include "json.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cmath>
#include <cstring>
#include <memory>
#include <simdjson.h>
#include <string>
#include <vector>

namespace {

constexpr size_t max_depth = 256;
constexpr uint32_t unread = UINT32_C(1) << 31; /* in `closing`: what lies between has not been looked at */
constexpr size_t keep_bytes = 4 * 1024 * 1024; /* buffers for larger texts are given back */

} // namespace

struct json {
    std::unique_ptr<simdjson::internal::dom_parser_implementation> stage;
    const char *text = nullptr;
    size_t size = 0;
    bool has_escapes = false;
    std::vector<uint32_t> closing;                    /* by token: that of its closing bracket, and `unread` */
    std::vector<std::unique_ptr<char[]>> unescaped;   /* texts handed out; they never move */

    uint32_t tokens() const { return stage->n_structural_indexes; }
    size_t at(uint32_t token) const { return token < tokens() ? stage->structural_indexes[token] : size; }
    char first(uint32_t token) const { return token < tokens() ? text[at(token)] : '\0'; }
};

namespace {

bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Where the scalar of a token ends: what follows up to the next one is blank. */
inline size_t scalar_end(const json_t *self, uint32_t token)
{
    size_t begin = self->at(token), end = self->at(token + 1);
    while (end > begin && is_blank(self->text[end - 1]))
        end--;
    return end;
}

bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool escapes_are_good(const char *at, const char *end)
{
    while ((at = static_cast<const char *>(memchr(at, '\\', static_cast<size_t>(end - at))))) {
        if (end - at < 2)
            return false;
        if (at[1] == 'u') {
            if (end - at < 6 || !is_hex(at[2]) || !is_hex(at[3]) || !is_hex(at[4]) || !is_hex(at[5]))
                return false;
            at += 6;
        } else if (!strchr("\"\\/bfnrt", at[1]) || !at[1]) {
            return false;
        } else {
            at += 2;
        }
    }
    return true;
}

const char *check_text(const json_t *self, size_t begin, size_t end)
{
    if (end - begin < 2 || self->text[end - 1] != '"')
        return "text is not closed";
    if (self->has_escapes && !escapes_are_good(self->text + begin + 1, self->text + end - 1))
        return "an escape is none of JSON's";
    return nullptr;
}

const char *skip_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

bool is_number(const char *at, const char *end)
{
    at += at < end && *at == '-';
    const char *whole = skip_digits(at, end);
    if (whole == at || (*at == '0' && whole - at > 1))
        return false;
    at = whole;
    if (at < end && *at == '.') {
        const char *fraction = skip_digits(at + 1, end);
        if (fraction == at + 1)
            return false;
        at = fraction;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '-' || *at == '+');
        const char *exponent = skip_digits(at, end);
        if (exponent == at)
            return false;
        at = exponent;
    }
    return at == end;
}

template <size_t room> bool is_word(const char *at, size_t size, const char (&word)[room])
{
    return size == room - 1 && memcmp(at, word, room - 1) == 0;
}

const char *check_scalar(const json_t *self, uint32_t token)
{
    size_t begin = self->at(token), end = scalar_end(self, token), size = end - begin;
    const char *at = self->text + begin;
    if (*at == '"')
        return check_text(self, begin, end);
    if (is_word(at, size, "true") || is_word(at, size, "false") || is_word(at, size, "null"))
        return nullptr;
    return is_number(at, at + size) ? nullptr : "a value is neither a number, true, false nor null";
}

/* Walks all tokens by the grammar, one call a bracket; of brackets deeper than `levels` only
 * the end is found. `why` tells where it stopped. */
class Walk {
public:
    Walk(json_t *self, size_t levels)
        : self(self), levels(levels), index(self->stage->structural_indexes.get()), count(self->tokens()) {}

    const char *whole()
    {
        if (value(0) && token < count)
            why = "goes on after its end";
        return why;
    }

private:
    json_t *self;
    size_t levels;
    const uint32_t *index;
    uint32_t count, token = 0;
    const char *why = nullptr;

    char first() const { return token < count ? self->text[index[token]] : '\0'; }
    bool stop(const char *reason) { why = token < count ? reason : "ends too early"; return false; }

    bool take(char c)
    {
        bool is = first() == c;
        token += is;
        return is;
    }

    bool scalar()
    {
        if (token == count)
            return stop("ends too early");
        why = check_scalar(self, token++);
        return !why;
    }

    bool value(size_t depth)
    {
        char c = first();
        if (c != '{' && c != '[')
            return scalar();
        if (depth == max_depth)
            return stop("is nested too deeply");
        if (depth >= levels)
            return pass_over(depth);
        uint32_t open = token++;
        if (!take(static_cast<char>(c + 2)) && !(c == '{' ? members(depth + 1) : items(depth + 1)))
            return false;
        self->closing[open] = token - 1;
        return true;
    }

    bool pass_over(size_t depth)
    {
        char expected[max_depth];
        size_t open = 0;
        uint32_t begin = token;
        do {
            char c = first();
            if (!c)
                return stop("ends too early");
            char shape = static_cast<char>(c | 0x20); /* of both kinds of brackets: { or } */
            if (shape == '{' && (c == '{' || c == '[')) {
                if (depth + open == max_depth)
                    return stop("is nested too deeply");
                expected[open++] = static_cast<char>(c + 2);
            } else if (shape == '}' && (c == '}' || c == ']') && c != expected[--open]) {
                return stop("a comma or a closing bracket is missing");
            }
            token++;
        } while (open > 0);
        self->closing[begin] = (token - 1) | unread;
        return true;
    }

    bool members(size_t depth)
    {
        do {
            if (first() != '"')
                return stop("a key is no text");
            if (!scalar())
                return false;
            if (!take(':'))
                return stop("a colon is missing");
            if (!value(depth))
                return false;
        } while (take(','));
        return take('}') || stop("a comma or a closing bracket is missing");
    }

    bool items(size_t depth)
    {
        do {
            if (!value(depth))
                return false;
        } while (take(','));
        return take(']') || stop("a comma or a closing bracket is missing");
    }
};

/* Room for texts of this size; large buffers are not kept for small texts. */
void make_room(json_t *self, size_t size)
{
    size_t have = self->stage ? self->stage->capacity() : 0;
    if (size <= have && (have <= keep_bytes || size > keep_bytes))
        return;
    self->stage.reset();
    std::vector<uint32_t>().swap(self->closing);
    size_t want = size > 16384 ? size : 16384;
    auto error = simdjson::get_active_implementation()->create_dom_parser_implementation(want, max_depth, self->stage);
    assert(!error && self->stage);
    (void)error;
}

const char *why_stage(simdjson::error_code error)
{
    switch (error) {
    case simdjson::UTF8_ERROR:      return "is not UTF-8";
    case simdjson::UNESCAPED_CHARS: return "holds a control character inside text";
    case simdjson::UNCLOSED_STRING: return "text is not closed";
    case simdjson::EMPTY:           return "is empty";
    default:                        return "is no JSON";
    }
}

json_kind kind_of(char first)
{
    switch (first) {
    case '{': return JSON_OBJECT;
    case '[': return JSON_ARRAY;
    case '"': return JSON_TEXT;
    case 't': return JSON_TRUE;
    case 'f': return JSON_FALSE;
    case 'n': return JSON_NULL;
    default:  return JSON_NUMBER;
    }
}

bool is_open(char c)
{
    return c == '{' || c == '[';
}

uint32_t closing_of(const json_t *self, uint32_t token)
{
    return self->closing[token] & ~unread;
}

/* The token behind the value that begins here. */
uint32_t after(const json_t *self, uint32_t token)
{
    return is_open(self->first(token)) ? closing_of(self, token) + 1 : token + 1;
}

json_value value_at(const json_t *self, uint32_t token)
{
    char first = self->first(token);
    size_t begin = self->at(token);
    size_t end = is_open(first) ? self->at(closing_of(self, token)) + 1 : scalar_end(self, token);
    return { kind_of(first), { self->text + begin, end - begin } };
}

/* The token at which a slice of the text begins; false if it is not such a slice. */
bool token_of(const json_t *self, struct slice part, uint32_t *token)
{
    const char *begin = static_cast<const char *>(part.data);
    if (!self->text || !begin || begin < self->text || begin >= self->text + self->size)
        return false;
    size_t offset = static_cast<size_t>(begin - self->text);
    const uint32_t *from = self->stage->structural_indexes.get(), *to = from + self->tokens();
    const uint32_t *found = std::lower_bound(from, to, offset);
    *token = static_cast<uint32_t>(found - from);
    return found != to && *found == offset;
}

/* The same of an object or array whose inside has been read. */
bool inside_of(const json_t *self, struct slice part, char bracket, uint32_t *token)
{
    return token_of(self, part, token) && self->first(*token) == bracket && !(self->closing[*token] & unread);
}

void put_utf8(char **to, uint32_t c)
{
    char *at = *to;
    if (c < 0x80) {
        *at++ = static_cast<char>(c);
    } else if (c < 0x800) {
        *at++ = static_cast<char>(0xc0 | c >> 6);
        *at++ = static_cast<char>(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *at++ = static_cast<char>(0xe0 | c >> 12);
        *at++ = static_cast<char>(0x80 | (c >> 6 & 0x3f));
        *at++ = static_cast<char>(0x80 | (c & 0x3f));
    } else {
        *at++ = static_cast<char>(0xf0 | c >> 18);
        *at++ = static_cast<char>(0x80 | (c >> 12 & 0x3f));
        *at++ = static_cast<char>(0x80 | (c >> 6 & 0x3f));
        *at++ = static_cast<char>(0x80 | (c & 0x3f));
    }
    *to = at;
}

uint32_t hex4(const char *at)
{
    uint32_t number = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t c = static_cast<unsigned char>(at[i]);
        number = number << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return number;
}

/* At a `\u`: its character, two escapes together where they are a pair. */
const char *put_unicode(const char *at, const char *end, char **to)
{
    uint32_t c = hex4(at + 2);
    at += 6;
    if (c >= 0xd800 && c < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
        uint32_t low = hex4(at + 2);
        if (low >= 0xdc00 && low < 0xe000) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            at += 6;
        }
    }
    put_utf8(to, c);
    return at;
}

struct slice unescape(json_t *self, const char *at, const char *end)
{
    self->unescaped.emplace_back(new char[static_cast<size_t>(end - at) + 1]);
    char *begin = self->unescaped.back().get(), *to = begin;
    while (at < end) {
        if (*at != '\\') {
            *to++ = *at++;
        } else if (at[1] == 'u') {
            at = put_unicode(at, end, &to);
        } else {
            const char *known = strchr("b\bf\fn\nr\rt\t", at[1]);
            *to++ = known ? known[1] : at[1];
            at += 2;
        }
    }
    return { begin, static_cast<size_t>(to - begin) };
}

struct slice text_of(json_t *self, struct slice raw)
{
    const char *begin = static_cast<const char *>(raw.data) + 1, *end = begin + raw.size - 2;
    if (!self->has_escapes || !memchr(begin, '\\', raw.size - 2))
        return { begin, raw.size - 2 };
    return unescape(self, begin, end);
}

/* Most texts differ in their first character or in their last: the library is not asked. */
bool is_same_text(const char *a, const char *b, size_t size)
{
    return size == 0 || (a[0] == b[0] && a[size - 1] == b[size - 1] && memcmp(a, b, size) == 0);
}

/* The key of the member that begins here, unescaped. */
struct slice key_at(json_t *self, uint32_t token)
{
    size_t begin = self->at(token);
    return text_of(self, { self->text + begin, scalar_end(self, token) - begin });
}

} // namespace

json_t *json_new(void)
{
    return new json();
}

void json_destroy(json_t **self_p)
{
    delete *self_p;
    *self_p = nullptr;
}

int json_read(json_t *self, struct slice text, struct json_value *root, const char **why)
{
    return json_read_levels(self, text, max_depth, root, why);
}

int json_read_levels(json_t *self, struct slice text, size_t levels, struct json_value *root, const char **why)
{
    static const char too_large[] = "is too large";
    self->unescaped.clear();
    self->text = nullptr;
    *root = { JSON_NOTHING, { nullptr, 0 } };
    *why = text.size > MAX_FRAME ? too_large : text.size == 0 ? "is empty" : nullptr;
    if (*why)
        return -1;
    make_room(self, text.size);
    self->text = static_cast<const char *>(text.data);
    self->size = text.size;
    self->has_escapes = memchr(text.data, '\\', text.size) != nullptr;
    auto error = self->stage->stage1(static_cast<const uint8_t *>(text.data), text.size, simdjson::stage1_mode::regular);
    if (error) {
        *why = why_stage(error);
    } else {
        if (self->closing.size() < self->tokens())
            self->closing.resize(self->tokens() + self->tokens() / 2);
        *why = Walk(self, levels).whole();
    }
    if (*why) {
        self->text = nullptr;
        return -1;
    }
    *root = value_at(self, 0);
    return 0;
}

int json_each_member(json_t *self, struct slice object, json_member_fn *fn, void *owner)
{
    uint32_t token;
    if (!inside_of(self, object, '{', &token))
        return -1;
    uint32_t last = self->closing[token];
    for (token++; token < last; token = after(self, token + 2) + 1) {
        struct slice key = key_at(self, token);
        if (int rc = fn(owner, key, value_at(self, token + 2)))
            return rc;
    }
    return 0;
}

int json_each_item(json_t *self, struct slice array, json_item_fn *fn, void *owner)
{
    uint32_t token;
    if (!inside_of(self, array, '[', &token))
        return -1;
    uint32_t last = self->closing[token];
    for (token++; token < last; token = after(self, token) + 1)
        if (int rc = fn(owner, value_at(self, token)))
            return rc;
    return 0;
}

int json_pick(json_t *self, struct slice object, const char *const keys[], size_t count, struct json_value values[])
{
    uint32_t token;
    uint64_t wanted = 0; /* sizes of keys, as bits */
    size_t sizes[32];
    assert(count <= sizeof sizes / sizeof *sizes);
    for (size_t i = 0; i < count; i++) {
        values[i] = { JSON_NOTHING, { nullptr, 0 } };
        sizes[i] = strlen(keys[i]);
        wanted |= UINT64_C(1) << (sizes[i] & 63);
    }
    if (!inside_of(self, object, '{', &token))
        return -1;
    uint32_t last = self->closing[token];
    for (token++; token < last; token = after(self, token + 2) + 1) {
        struct slice key = key_at(self, token);
        if (!(wanted >> (key.size & 63) & 1))
            continue;
        for (size_t i = 0; i < count; i++)
            if (sizes[i] == key.size && is_same_text(keys[i], static_cast<const char *>(key.data), key.size))
                values[i] = value_at(self, token + 2);
    }
    return 0;
}

bool json_text(json_t *self, struct json_value value, struct slice *text)
{
    if (value.kind != JSON_TEXT)
        return false;
    *text = text_of(self, value.raw);
    return true;
}

bool json_real(struct json_value value, double *number)
{
    return value.kind == JSON_NUMBER && number_read(value.raw, number);
}

bool json_int(struct json_value value, int64_t *number)
{
    const char *at = static_cast<const char *>(value.raw.data), *end = at + value.raw.size;
    if (value.kind != JSON_NUMBER)
        return false;
    bool negative = *at == '-';
    uint64_t sum = 0, limit = static_cast<uint64_t>(INT64_MAX) + (negative ? 1 : 0);
    for (at += negative; at < end; at++) {
        if (*at < '0' || *at > '9')
            return false;
        uint64_t digit = static_cast<uint64_t>(*at - '0');
        if (sum > (limit - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *number = negative ? static_cast<int64_t>(0 - sum) : static_cast<int64_t>(sum);
    return true;
}

namespace {

struct Index { size_t left; json_value found; };

int nth(void *owner, struct json_value item)
{
    Index *index = static_cast<Index *>(owner);
    if (index->left-- > 0)
        return 0;
    index->found = item;
    return 1;
}

json_value step_into(json_t *self, json_value at, const std::string &step)
{
    json_value found = { JSON_NOTHING, { nullptr, 0 } };
    if (at.kind == JSON_OBJECT) {
        const char *key = step.c_str();
        json_pick(self, at.raw, &key, 1, &found);
    } else if (at.kind == JSON_ARRAY && !step.empty() && step.size() < 10 && step.find_first_not_of("0123456789") == step.npos) {
        Index index = { std::stoul(step), found };
        json_each_item(self, at.raw, nth, &index);
        found = index.found;
    }
    return found;
}

} // namespace

struct json_value json_at(json_t *self, struct slice root, const char *path)
{
    uint32_t token;
    if (!token_of(self, root, &token))
        return { JSON_NOTHING, { nullptr, 0 } };
    json_value at = value_at(self, token);
    while (*path && at.kind != JSON_NOTHING) {
        size_t size = strcspn(path, ".");
        at = step_into(self, at, std::string(path, size));
        path += size + (path[size] == '.');
    }
    return at;
}

/* "d.ddd" of so many digits with the point moved, in place: as it is written without an exponent. */
static size_t move_point(char *at, int digits, int exponent)
{
    char all[NUMBER_TEXT];
    int size = 0;
    all[size++] = at[0];
    for (int i = 1; i < digits; i++)
        all[size++] = at[i + 1];
    char *to = at;
    for (int place = exponent < 0 ? exponent : 0; place < size || place <= exponent; place++) {
        if (place == exponent + 1 && exponent >= 0)
            *to++ = '.';
        *to++ = place >= 0 && place < size ? all[place] : '0';
        if (place == exponent && exponent < 0)
            *to++ = '.';
    }
    return static_cast<size_t>(to - at);
}

/* As printf's %g with as many digits as the number needs, 15 at least: where that turns to an exponent, so does this. */
size_t number_shortest(double number, char to[NUMBER_TEXT])
{
    if (std::abs(number) >= 1e-4 && std::abs(number) < 1e15) /* it never turns to an exponent there */
        return static_cast<size_t>(std::to_chars(to, to + NUMBER_TEXT, number, std::chars_format::fixed).ptr - to);
    char *end = std::to_chars(to, to + NUMBER_TEXT, number, std::chars_format::scientific).ptr;
    char *mark = std::find(to, end, 'e'), *first = to + (to[0] == '-');
    if (mark == end)
        return static_cast<size_t>(end - to); /* no finite number */
    int exponent = 0, digits = static_cast<int>(mark - first) - (mark - first > 1);
    std::from_chars(mark + 1 + (mark + 1 < end && mark[1] == '+'), end, exponent);
    if (exponent < -4 || exponent >= std::max(digits, 15))
        return static_cast<size_t>(end - to);
    return static_cast<size_t>(first - to) + move_point(first, digits, exponent);
}

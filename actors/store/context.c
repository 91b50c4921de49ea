/* context.c - Home Assistant's context ids in sixteen bytes where they are a ULID or a UUID. */
#include "inside.h"

#include <endian.h>
#include <string.h>

static const char ulid_digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
static const char hex_digits[] = "0123456789abcdef";

/* By character: one more than the digit's value; 0: no digit. */
static const uint8_t ulid_values[256] = {
    ['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16, ['G'] = 17, ['H'] = 18, ['J'] = 19, ['K'] = 20,
    ['M'] = 21, ['N'] = 22, ['P'] = 23, ['Q'] = 24, ['R'] = 25, ['S'] = 26, ['T'] = 27, ['V'] = 28, ['W'] = 29, ['X'] = 30,
    ['Y'] = 31, ['Z'] = 32,
};
static const uint8_t hex_values[256] = {
    ['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10,
    ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

/* As many digits as fit in 64 bits. */
static inline bool read_digits(const char *text, size_t count, unsigned bits, const uint8_t values[256], uint64_t *number)
{
    bool is_whole = true;
    *number = 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t value = values[(uint8_t)text[i]];
        is_whole &= value != 0;
        *number = *number << bits | ((uint64_t)value - 1);
    }
    return is_whole;
}

/* 128 bits are 2 + 12 + 12 digits; a first one above 7 would not fit. */
static bool read_ulid(const char *at, uint64_t *high, uint64_t *low)
{
    uint64_t top, middle, end;
    if (at[0] < '0' || at[0] > '7' || !read_digits(at, 2, 5, ulid_values, &top) ||
        !read_digits(at + 2, 12, 5, ulid_values, &middle) || !read_digits(at + 14, 12, 5, ulid_values, &end))
        return false;
    *high = top << 56 | middle >> 4;
    *low = middle << 60 | end;
    return true;
}

static bool read_hex(const char *at, uint64_t *high, uint64_t *low)
{
    return read_digits(at, 16, 4, hex_values, high) && read_digits(at + 16, 16, 4, hex_values, low);
}

static void set_bytes(struct context *c, enum context_form form, uint64_t high, uint64_t low)
{
    high = htobe64(high);
    low = htobe64(low);
    memcpy(c->bytes, &high, 8);
    memcpy(c->bytes + 8, &low, 8);
    c->form = form;
    c->key = (int64_t)be64toh(high);
}

struct context context_read(struct slice text)
{
    struct context c = { .form = TEXT_CONTEXT };
    uint64_t high, low;
    if (text.size == 26 && read_ulid(text.data, &high, &low)) {
        set_bytes(&c, FAR_ULID, high, low);
        c.at_ms = (int64_t)(high >> 16);
    } else if (text.size == 32 && read_hex(text.data, &high, &low)) {
        set_bytes(&c, HEX_CONTEXT, high, low);
    } else {
        c.key = (int64_t)hash_bytes(HASH_SEED, text);
    }
    return c;
}

bool context_is_near(const struct context *c, int64_t at_us)
{
    int64_t late = at_us / 1000 - c->at_ms;
    return c->form == FAR_ULID && late >= 0 && late <= NEAR_MS;
}

static inline void write_digits(char *to, size_t count, unsigned bits, const char *digits, uint64_t number)
{
    for (size_t i = count; i-- > 0; number >>= bits)
        to[i] = digits[number & ((UINT64_C(1) << bits) - 1)];
}

size_t context_text(const struct context *c, char to[CONTEXT_TEXT])
{
    uint64_t high, low;
    memcpy(&high, c->bytes, 8);
    memcpy(&low, c->bytes + 8, 8);
    high = be64toh(high);
    low = be64toh(low);
    if (c->form != FAR_ULID) {
        write_digits(to, 16, 4, hex_digits, high);
        write_digits(to + 16, 16, 4, hex_digits, low);
        return 32;
    }
    write_digits(to, 2, 5, ulid_digits, high >> 56);
    write_digits(to + 2, 12, 5, ulid_digits, high << 4 | low >> 60);
    write_digits(to + 14, 12, 5, ulid_digits, low);
    return 26;
}

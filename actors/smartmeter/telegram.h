/* telegram.h - DSMR P1 telegrams: cut out of the stream that a meter sends, checked, read.
 *
 * A telegram begins with `/` and ends with `!`, four hex digits (DSMR 4 and later: CRC-16/ARC of all bytes
 * from the one to the other) and a line's end. What comes before a `/` is noise. Nothing is taken of a telegram
 * whose sum is wrong, or that says it is version 4 or later and has none. */
#ifndef TELEGRAM_H
#define TELEGRAM_H

#include "schemas.h"

enum { TELEGRAM_MAX = 8192 };

/* The stream so far. All zero: nothing. */
struct stream {
    char bytes[TELEGRAM_MAX];
    size_t size;
    int64_t began_us;      /* when its `/` came */
    bool is_encrypted;     /* General-Global-Cipher frames of Luxembourg and Austria were seen: not readable */
};

/* Takes bytes that came at `clock_us` and calls `each` with every whole telegram, from `/` to the last digit.
 * One that has not ended after two seconds, or is too long, is dropped. Returns how many were dropped. */
typedef void telegram_fn(void *owner, struct slice telegram);
size_t stream_take(struct stream *, int64_t clock_us, struct slice bytes, telegram_fn *each, void *owner);

unsigned crc16_arc(struct slice);

/* Into an empty reading, without as_of. *at_us: the meter's own time, -1 where it does not tell. *odd: values left out.
 * 0, or -1 with why. */
int telegram_read(struct slice telegram, struct smartmeter_reading *, int64_t *at_us, size_t *odd, struct fault *);

/* YYMMDDhhmmss and S or W (central European summer and winter time): microseconds UTC, or -1. */
int64_t telegram_time_us(struct slice);

#endif

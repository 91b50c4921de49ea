/* moment.c - chance, times and context ids as Home Assistant writes them. */
#include "moment.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

uint64_t chance_next(struct chance *self)
{
    uint64_t mixed = self->state += UINT64_C(0x9e3779b97f4a7c15);

    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

double chance_part(struct chance *self)
{
    return (double)(chance_next(self) >> 11) * 0x1p-53;
}

int64_t chance_below(struct chance *self, int64_t limit)
{
    return (int64_t)(chance_next(self) % (uint64_t)limit);
}

bool chance_one_in(struct chance *self, int64_t odds)
{
    return chance_below(self, odds) == 0;
}

void chance_hex(struct chance *self, char *out, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = "0123456789abcdef"[chance_below(self, 16)];
    out[size] = 0;
}

static void two_digits(char *out, int number)
{
    out[0] = (char)('0' + number / 10 % 10);
    out[1] = (char)('0' + number % 10);
}

static void remember_second(struct calendar *self, int64_t second)
{
    struct tm tm;
    time_t time = (time_t)second;

    gmtime_r(&time, &tm);
    int year = tm.tm_year + 1900;
    two_digits(self->date, year / 100);
    two_digits(self->date + 2, year % 100);
    self->date[4] = self->date[7] = '-';
    two_digits(self->date + 5, tm.tm_mon + 1);
    two_digits(self->date + 8, tm.tm_mday);
    self->date[10] = 'T';
    two_digits(self->date + 11, tm.tm_hour);
    self->date[13] = self->date[16] = ':';
    two_digits(self->date + 14, tm.tm_min);
    two_digits(self->date + 17, tm.tm_sec);
    self->second = second;
}

size_t moment_iso(struct calendar *self, char *out, int64_t us)
{
    int64_t second = us / SECOND_US;
    int fraction = (int)(us % SECOND_US);
    size_t size = 19;

    if (second != self->second || !self->date[0])
        remember_second(self, second);
    memcpy(out, self->date, 19);
    if (fraction) {
        out[19] = '.';
        two_digits(out + 20, fraction / 10000);
        two_digits(out + 22, fraction / 100 % 100);
        two_digits(out + 24, fraction % 100);
        size = 26;
    }
    memcpy(out + size, "+00:00", 7);
    return size + 6;
}

void moment_ulid(struct calendar *self, struct chance *chance, char out[ULID_SIZE + 1], int64_t us)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    int64_t millisecond = us / 1000;
    uint64_t high = chance_next(chance), low = chance_next(chance);

    if (millisecond != self->millisecond) {
        for (int i = 0; i < 10; i++)
            self->ulid[9 - i] = digits[(millisecond >> (5 * i)) & 31];
        self->millisecond = millisecond;
    }
    memcpy(out, self->ulid, 10);
    for (int i = 0; i < 8; i++) {
        out[10 + i] = digits[(high >> (5 * i)) & 31];
        out[18 + i] = digits[(low >> (5 * i)) & 31];
    }
    out[ULID_SIZE] = 0;
}

/* HA keeps the float its clock gave and rounds for its ISO texts: the fraction to the nearest
 * microsecond. One step of a double is 0.24 us in these years. */
double moment_seconds(int64_t us)
{
    double exact = (double)us / 1e6, seconds = exact;
    int64_t step = us / 7 % 5 - 2;

    for (int64_t i = 0; i < (step < 0 ? -step : step); i++)
        seconds = nextafter(seconds, step < 0 ? 0 : INFINITY);
    double whole = floor(seconds);
    bool same = (int64_t)whole * SECOND_US + llrint((seconds - whole) * 1e6) == us;
    return same ? seconds : exact;
}

void moment_float(struct text *text, int64_t us)
{
    text_float(text, moment_seconds(us));
}

static int64_t offset_us(const char *zone)
{
    int hours, minutes;
    char sign;

    if (sscanf(zone, "%c%2d:%2d", &sign, &hours, &minutes) != 3 || (sign != '+' && sign != '-'))
        return 0;
    return (sign == '+' ? 1 : -1) * (hours * HOUR_US + minutes * 60 * SECOND_US);
}

int64_t moment_parse(struct slice iso)
{
    char copy[ISO_ROOM];
    struct tm tm = {0};

    if (iso.size >= sizeof copy)
        return -1;
    memcpy(copy, iso.data, iso.size);
    copy[iso.size] = 0;
    char *rest = strptime(copy, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!rest)
        return -1;
    int64_t us = (int64_t)timegm(&tm) * SECOND_US;
    if (*rest == '.') {
        int64_t scale = SECOND_US / 10;
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, scale /= 10)
            us += (*rest - '0') * scale;
    }
    return us - offset_us(rest);
}

int64_t moment_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

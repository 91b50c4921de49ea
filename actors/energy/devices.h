/* devices.h - what each device was seen to take: the steps that its switching on and off explained. */
#ifndef DEVICES_H
#define DEVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DEVICES_MAX = 300, DELTAS = 15, DEVICE_ID = 255, DETAIL = 23 };

struct device {
    char entity[DEVICE_ID + 1];
    char detail[DETAIL + 1];   /* its brightness, what its heating does ...: as it was last; "" where there is none */
    int64_t changes;           /* it was switched on or off while a meter told what is drawn */
    int64_t explained;         /* ... and that was a step of this device's alone */
    double lately_changed, lately_explained;  /* the same, of the last ten or so */
    float deltas[DELTAS];      /* sizes of the last steps, watts, in any order but for `next` */
    uint32_t count, next;
    int64_t changed_us, measured_us;  /* the last time; 0: never */
};

typedef struct devices devices_t;

devices_t *devices_new(void);
void devices_destroy(devices_t **);
void devices_clear(devices_t *);

/* NULL: not known. With `make` it is there: the one that was silent longest goes for it. Borrowed until the next `make`. */
struct device *devices_find(devices_t *, const char *entity, bool make);
size_t devices_count(const devices_t *);
const struct device *devices_at(const devices_t *, size_t index); /* in no order; NULL: beyond the end */

void device_changed(struct device *, int64_t at_us, bool is_measured);
void device_measured(struct device *, double delta_w, int64_t at_us);
double device_watts(const struct device *);    /* median; 0: never measured */
double device_spread(const struct device *);   /* standard deviation, from the median of distances to the median */
/* How likely the change it has just made is a step, by what the ones before were. A device can be seen (most of its
 * changes are steps) or cannot (a step beside its change is chance), so a few changes say much. NULL: nothing is known. */
double device_share(const struct device *);

#endif

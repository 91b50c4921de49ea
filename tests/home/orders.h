/* orders.h - a command to the home at work, and the tables of what there is. */
#ifndef HOME_ORDERS_H
#define HOME_ORDERS_H

#include "home.h"

enum { HOUSE_ORDERS = 12, MAX_SLEEP_EVENTS = 1000000 };

/* What is left of its words, and where its answer goes. */
struct order {
    struct home *home;
    const char *rest;
    struct text *answer;
};

struct order_row {
    const char *name, *arguments;
    bool (*run)(struct order *);
};

extern const struct order_row house_orders[HOUSE_ORDERS];

/* The next word, NUL-terminated in `word`; false if there is none. */
bool order_word(struct order *, char *word, size_t room);
double order_number(struct order *, double otherwise);

#endif

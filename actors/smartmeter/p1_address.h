/* p1_address.h - where a P1 port is: a serial line and how it is set, or a host and port. */
#ifndef P1_ADDRESS_H
#define P1_ADDRESS_H

#include <stdbool.h>

struct p1_address {
    char path[301];        /* of the serial line; "": it is TCP */
    char host[301], port[8];
    int baud;              /* 115200 or 9600 */
    bool is_seven_even;    /* 7E1, else 8N1 */
};

/* 0, or -1 with *why (static text; where it is the line's fault it begins with `l`). */
int p1_address_read(const char *address, const char *line, struct p1_address *, const char **why);

#endif

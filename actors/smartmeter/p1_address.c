/* p1_address.c - where a P1 port is, out of the settings. */
#include "p1_address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_line(const char *line, struct p1_address *self, const char **why)
{
    self->baud = strncmp(line, "115200-", 7) == 0 ? 115200 : strncmp(line, "9600-", 5) == 0 ? 9600 : 0;
    const char *form = strchr(line, '-');
    self->is_seven_even = form && strcmp(form, "-7e1") == 0;
    if (self->baud && (self->is_seven_even || strcmp(form, "-8n1") == 0))
        return 0;
    *why = "line settings are 115200-8n1, 115200-7e1, 9600-7e1 or 9600-8n1";
    return -1;
}

static int read_host(const char *text, struct p1_address *self, const char **why)
{
    const char *colon = strrchr(text, ':');
    size_t size = colon ? (size_t)(colon - text) : 0;
    bool is_bracketed = size > 2 && *text == '[' && text[size - 1] == ']';
    long port = colon ? strtol(colon + 1, NULL, 10) : 0;
    *why = "is tcp:// without host:port";
    if (size == 0 || size >= sizeof self->host || port < 1 || port > 65535 || strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return -1;
    snprintf(self->host, sizeof self->host, "%.*s", (int)(is_bracketed ? size - 2 : size), is_bracketed ? text + 1 : text);
    snprintf(self->port, sizeof self->port, "%ld", port);
    return 0;
}

int p1_address_read(const char *address, const char *line, struct p1_address *self, const char **why)
{
    *self = (struct p1_address){ .baud = 0 };
    if (read_line(line, self, why))
        return -1;
    if (strncmp(address, "tcp://", 6) == 0)
        return read_host(address + 6, self, why);
    *why = "is neither a path, /dev/ttyUSB0, nor tcp://host:port";
    if (*address != '/' || strlen(address) >= sizeof self->path)
        return -1;
    snprintf(self->path, sizeof self->path, "%s", address);
    return 0;
}

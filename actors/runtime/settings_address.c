/* settings_address.c - the broker's address and the keys to it: whether they are any. */
#include "settings.h"
#include "event_id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOCKET_PATH_MAX = 100 };

static const char *tcp_fault(const char *host)
{
    const char *colon = strrchr(host, ':');
    if (!colon || colon == host)
        return "is no tcp://host:port";
    size_t digits = strspn(colon + 1, "0123456789");
    long port = digits > 0 && digits < 6 && !colon[1 + digits] ? strtol(colon + 1, NULL, 10) : 0;
    return port > 0 && port < 65536 ? NULL : "has no port from 1 to 65535";
}

const char *address_fault(const char *address)
{
    if (strncmp(address, "tcp://", 6) == 0)
        return tcp_fault(address + 6);
    if (strncmp(address, "ipc://", 6) != 0)
        return "is neither ipc:// nor tcp://";
    size_t size = strlen(address + 6);
    return size == 0 ? "has no path" : size > 107 ? "has a path that is too long for a socket" : NULL;
}

bool is_curve_key(const char *text)
{
    static const char z85[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    return strlen(text) == 40 && strspn(text, z85) == 40;
}

/* All three keys or none. NULL, or what is wrong with *field. */
static const char *keys_fault(const struct suite_config *suite, const char **field)
{
    const struct { const char *name; bool has; const char *key; } keys[] = {
        { "broker_key", suite->has_broker_key, suite->broker_key },
        { "public_key", suite->has_public_key, suite->public_key },
        { "secret_key", suite->has_secret_key, suite->secret_key },
    };
    bool any = suite->has_broker_key || suite->has_public_key || suite->has_secret_key;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        *field = keys[i].name;
        if (any && !keys[i].has)
            return "is missing: suite.broker_key, suite.public_key and suite.secret_key go together";
        if (any && !is_curve_key(keys[i].key))
            return "is no CURVE key: 40 characters of Z85";
    }
    return NULL;
}

const char *suite_address_fault(const struct suite_config *suite, const char **field)
{
    *field = "broker";
    const char *why = suite->has_broker ? address_fault(suite->broker) : NULL;
    return why ? why : keys_fault(suite, field);
}

void suite_endpoint(const struct suite_config *suite, char to[ENDPOINT_SIZE])
{
    char path[ENDPOINT_SIZE];
    if (suite->has_broker) {
        snprintf(to, ENDPOINT_SIZE, "%s", suite->broker);
        return;
    }
    snprintf(path, sizeof path, "%s/broker.ipc", suite->data);
    if (strlen(path) <= SOCKET_PATH_MAX)
        snprintf(to, ENDPOINT_SIZE, "ipc://%.490s", path);
    else
        snprintf(to, ENDPOINT_SIZE, "ipc:///tmp/ha-ingestor-%016llx.ipc",
            (unsigned long long)hash_bytes(HASH_SEED, slice_of(path)));
}

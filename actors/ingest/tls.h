/* tls.h - TLS between two buffers: what the network gives and gets, and what is meant. No socket.
 *
 * libwebsockets 4.1.6 has TLS for its own protocols only: a raw connection of it is neither
 * verified nor finished. */
#ifndef TLS_H
#define TLS_H

#include "schema.h"

#include <sys/types.h>

typedef struct tls tls_t;

/* `ca_file` NULL: the system's certificates. NULL: *why (static, or of the library). */
tls_t *tls_new(const char *host, const char *ca_file, bool verify, const char **why);
void tls_destroy(tls_t **);

int tls_take(tls_t *, struct slice bytes);              /* from the network; -1: tls_why() */
bool tls_is_open(const tls_t *);                        /* shaken hands, and the certificate is good */
ssize_t tls_read(tls_t *, void *to, size_t room);       /* what is meant; 0: no more now; -1: tls_why() */
int tls_write(tls_t *, struct slice plain);             /* once it is open */
size_t tls_pull(tls_t *, void *to, size_t room);        /* for the network; 0: nothing */
bool tls_has_output(const tls_t *);
const char *tls_why(const tls_t *);

#endif

/* upgrade.h - the HTTP/1.1 request that opens a WebSocket, and what may be answered to it. */
#ifndef UPGRADE_H
#define UPGRADE_H

#include "endpoints.h"

enum { UPGRADE_KEY = 25, UPGRADE_REQUEST = 2048, UPGRADE_ANSWER = 16384 }; /* bytes at most */

/* 16 random bytes as Base64. */
void upgrade_key(char key[UPGRADE_KEY], const unsigned char random[16]);
size_t upgrade_request(char to[UPGRADE_REQUEST], const struct endpoint *, const char *key);

/* Read what has been answered so far. Returns the size of the answer's header: what follows are
 * frames; 0: it has not ended yet; -1: refused, with *status (0: no HTTP answer) and *why
 * (static text, NULL where the status says it all). */
int upgrade_answer(struct slice so_far, const char *key, int *status, const char **why);

#endif

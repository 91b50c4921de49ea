/* record.h - what an import leaves on the disk, below <data>/import/.
 *
 *   request            the path to import; removed when that is done or has failed
 *   status             import_status: how it goes, for whoever asks
 *   <hash>.progress    import_progress: how far one database has been imported */
#ifndef RECORD_H
#define RECORD_H

#include "actor.h"
#include "flight.h"

enum { RECORD_PATH = 4400 };
struct record { char request[RECORD_PATH], status[RECORD_PATH], progress[RECORD_PATH]; };

int record_open(struct record *, actor_t *);  /* 0; -1: the data directory cannot be used */
int record_request(const struct record *, char *path, size_t size); /* 0; -1: none */
/* Finds what is known of this database, else begins a new one: its number, no row done. */
void record_progress(struct record *, actor_t *, const char *path, const char *began, struct import_progress *);

void progress_reach(const struct import_progress *, struct reach *);
void progress_set(struct import_progress *, const struct reach *, const int64_t until[KINDS]);

#endif

/* logs.h - what all processes have said, read from the logger's own files, newest first.
 *
 * Nothing is kept here: each question reads the files from their end, for at most READ_MS, with
 * one buffer. A cursor is the file (its inode stays when it is renamed) and the offset in it. */
#ifndef LOGS_H
#define LOGS_H

#include "schemas.h"

/* 0 to go on; else there is no room for this line, and the answer ends before it. */
typedef int logs_row_fn(void *owner, const struct log_row *);
/* 0, or -1: *fault (the query's cursor is none, or its level). A cursor is set where there may be more. */
int logs_find(const char *directory, const struct logs_query *, logs_row_fn *, void *owner, struct page *end, struct fault *);
/* Of the newest LOGS_BYTES. `pool` holds the texts of the answer. */
void logs_count(const char *directory, int64_t now_us, struct log_counts *, msgpack_sbuffer *pool);

/* A line as it stands in the file. Whatever it is, it becomes a row. */
void logs_parse(struct slice line, struct log_row *);

#endif

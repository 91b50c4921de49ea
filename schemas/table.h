/* table.h - a message as a row of a file: JSON lines, CSV, InfluxDB's line protocol.
 *
 * CSV is RFC 4180 in UTF-8: a header, CR LF, what holds a comma, a quote or a line break is
 * quoted; absent is nothing, an empty text is "". Objects and arrays are JSON text.
 *
 * Line protocol: TAG rows are tags, FIELD rows fields, the first TIME row that is there the time.
 * REAL, and JSON that is a number, true or false, are floats (1, 0); INT ends with i; FLAG is
 * true or false; all else is a quoted string. A line break is \n, an empty tag is left out, as
 * is a backslash at a tag's end, which the format cannot say. What has no field is no point, and what has no
 * time in it (in nanoseconds: after the year 2262) is a line that begins with #.
 *
 * In the latter two, bytes that are no Unicode (a lone surrogate) are U+FFFD. */
#ifndef TABLE_H
#define TABLE_H

#include "schema.h"

enum table_form { TABLE_JSON_LINES, TABLE_CSV, TABLE_LINES };

struct table {
    enum table_form form;
    const struct schema *schema;
    uint64_t columns;         /* bit i: row i of the schema; UINT64_MAX: all that outsiders see */
    const char *measurement;  /* TABLE_LINES */
    bool in_us;               /* TABLE_LINES: time in microseconds, else in nanoseconds */
};

void table_head(const struct table *, msgpack_sbuffer *out); /* what stands before the first row */
void table_row(const struct table *, const void *msg, msgpack_sbuffer *out); /* with its line's end */

#endif

/* fuzz_logs.c - whatever stands in a log file becomes rows that can be sent. */
#include "logs.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct log_row row;
    struct fault fault;
    msgpack_sbuffer packed = { 0 };
    logs_parse((struct slice){ data, size }, &row);
    assert(row.has_message);
    assert(log_row_encode(&row, &packed, &fault) == 0);
    schema_json(log_row_schema(), &row, &packed);
    msgpack_sbuffer_destroy(&packed);
    return 0;
}

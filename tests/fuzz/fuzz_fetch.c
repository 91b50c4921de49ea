/* fuzz_fetch.c - what the program that fetches may say: bounded, whatever it is and however it is cut. */
#include "fetch_answer.h"

#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte is how large the pieces are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fetch_answer answer = { .body_max = BODY_MAX };
    size_t piece = size ? data[0] % 40u + 1 : 1;
    fetch_answer_begin(&answer);
    for (size_t at = 1, n; at < size; at += n) {
        n = piece < size - at ? piece : size - at;
        if (fetch_answer_take(&answer, data + at, n) != FETCH_TAKEN)
            return 0;
    }
    if (answer.body.size > BODY_MAX || strlen(answer.etag) >= sizeof answer.etag || strlen(answer.error) >= sizeof answer.error
            || strlen(answer.modified) >= sizeof answer.modified || answer.end.status < 0 || answer.end.status > 999)
        abort();
    return 0;
}

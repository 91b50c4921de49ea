/* fuzz_telegram.c - whatever comes out of a P1 port, in pieces, with its sum made right so that it is read. */
#include "telegram.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void see(void *owner, struct slice telegram)
{
    struct smartmeter_reading reading;
    struct fault fault;
    int64_t at_us;
    size_t odd;
    (void)owner;
    char *text = malloc(telegram.size + 8), *mark;
    memcpy(text, telegram.data, telegram.size);
    text[telegram.size] = '\0';
    for (int i = 0; i < 2; i++) {
        memset(&reading, 0, sizeof reading);
        if (telegram_read((struct slice){ text, strlen(text) }, &reading, &at_us, &odd, &fault) == 0) {
            SET(&reading, as_of, 0);
            if (schema_check(smartmeter_reading_schema(), &reading, &fault))
                abort();
        }
        mark = strrchr(text, '!');
        if (mark)
            sprintf(mark + 1, "%04X", crc16_arc((struct slice){ text, (size_t)(mark - text) + 1 }));
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct stream stream;
    memset(&stream, 0, sizeof stream);
    for (size_t at = 0, part = 1; at < size; at += part, part = part * 3 % 257 + 1) {
        part = part < size - at ? part : size - at;
        stream_take(&stream, (int64_t)at * 1000, (struct slice){ data + at, part }, see, NULL);
    }
    return 0;
}

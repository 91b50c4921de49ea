/* fuzz_mapping.c - what the settings may say of topics, and messages of them: settings, a zero, topic, a zero, payload. */
#include "mapping.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mappings mappings;
    static json_t *json;
    char why[100];
    size_t odd;
    double value;
    if (!json)
        json = json_new();
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    size_t settings = strlen(text);
    if (settings < size && mappings_read(text, "p/+", &mappings, why, sizeof why) == 0) {
        const char *topic = text + settings + 1;
        size_t head = settings + 1 + strlen(topic) + 1;
        if (head <= size)
            mappings_take(&mappings, json, topic, (struct slice){ text + head, size - head }, 1, &odd);
        for (size_t i = 0; i < mappings.count; i++)
            mappings_value(&mappings, mappings.rows[i].member, 0, &value);
    }
    free(text);
    return 0;
}

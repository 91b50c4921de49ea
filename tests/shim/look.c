/* look.c - opens the capture log and the ledger of a data directory as ingest does, and prints what is in them.
 *
 * look DATA BOOT_ID NOW_US SYNC SYNC_MS: a line `record PLACE BYTES EVENTS RECEIVED_US` for each
 * record, then `gap START END CAUSE`. Used by tests/suite/power.py: a start without the processes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "ledger.h"

static struct { struct capture_loss losses[1000]; int count; } lost;

static void on_loss(void *owner, const struct capture_loss *loss)
{
    (void)owner;
    if (lost.count < 1000)
        lost.losses[lost.count++] = *loss;
}

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "look: %s: %s\n", what, why);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return fail("usage", "look DATA BOOT_ID NOW_US SYNC SYNC_MS");
    char path[4096], ledger_path[4096];
    const char *why = "", *damaged = NULL;
    int64_t now_us = strtoll(argv[3], NULL, 10), sync_us = strtoll(argv[5], NULL, 10) * 1000;
    bool always = strcmp(argv[4], "always") == 0, never = strcmp(argv[4], "never") == 0;
    snprintf(path, sizeof path, "%s/capture", argv[1]);
    snprintf(ledger_path, sizeof ledger_path, "%s/ingest", argv[1]);
    capture_t *capture = capture_open(&(struct capture_options){ .directory = path, .segment_bytes = 4194304,
        .max_bytes = INT64_C(4294967296), .sync_us = sync_us, .on_loss = on_loss,
        .sync = always ? CAPTURE_ALWAYS : never ? CAPTURE_NEVER : CAPTURE_INTERVAL }, now_us, &why);
    if (!capture)
        return fail("the capture log cannot be opened", why);
    ledger_t *ledger = ledger_open(&(struct ledger_options){ .directory = ledger_path, .boot_id = argv[2],
        .latency_us = 1000000, .captured_us = capture_last_heard(capture), .is_torn = capture_torn(capture) > 0 }, now_us, &why, &damaged);
    if (!ledger)
        return fail("the ledger cannot be opened", why);
    if (damaged)
        return fail("the ledger is damaged", damaged);
    struct capture_record record;
    while (capture_read(capture, &record)) {
        printf("record %" PRId64 " %zu %u %" PRId64 "\n", record.place, record.bytes.size, record.events, record.received_us);
        capture_next(capture);
    }
    for (int i = 0; i < lost.count; i++)
        ledger_add(ledger, lost.losses[i].first_us, lost.losses[i].last_us,
            lost.losses[i].overflow ? GAP_OVERFLOW : GAP_DAMAGED, lost.losses[i].continues);
    for (size_t i = 0; i < ledger_count(ledger); i++) {
        const struct gap_entry *gap = ledger_gap(ledger, i);
        printf("gap %" PRId64 " %" PRId64 " %s\n", gap->start_us, gap->end_us, gap_cause_name(gap->cause));
    }
    ledger_close(&ledger, false);
    capture_close(&capture);
    return 0;
}

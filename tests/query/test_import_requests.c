/* test_import_requests.c - an import is asked for, started, and told of, whatever has been killed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "probe.h"
#include "small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW_US INT64_C(1767225600000000) /* where the probe's clock begins */

struct world { char directory[64], base[128], request[128], status[128], control[160]; int supervisor; probe_t *probe; };

static void make(const char *directory, const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->directory, "/tmp/test-requests-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    static const char *const folders[] = { "import", "run", "run/services", "run/services/import", "run/services/import/supervise" };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        make(w->directory, folders[i]);
    snprintf(w->base, sizeof w->base, "%s/home.db", w->directory);
    snprintf(w->request, sizeof w->request, "%s/import/request", w->directory);
    snprintf(w->status, sizeof w->status, "%s/import/status", w->directory);
    snprintf(w->control, sizeof w->control, "%s/run/services/import/supervise/control", w->directory);
    assert_int_equal(mkfifo(w->control, 0600), 0);
    w->supervisor = open(w->control, O_RDONLY | O_NONBLOCK);
    assert_int_equal(small_file_write(w->base, slice_of("a file")), 0);
    w->probe = probe_new((const char *const[]){ "data", w->directory, NULL });
    assert_non_null(w->probe);
    *state = w;
    return 0;
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    (void)stat, (void)type, (void)walk;
    return remove(path);
}

static int tear_down(void **state)
{
    struct world *w = *state;
    probe_destroy(&w->probe);
    if (w->supervisor >= 0)
        close(w->supervisor);
    int rc = nftw(w->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(w);
    return rc;
}

/* How often the supervisor was told so since the last look, and nothing else. */
static int told(struct world *w, char letter)
{
    char commands[16];
    ssize_t n = read(w->supervisor, commands, sizeof commands);
    for (ssize_t i = 0; i < n; i++)
        assert_int_equal(commands[i], letter);
    return n > 0 ? (int)n : 0;
}

static int starts(struct world *w)
{
    return told(w, 'u');
}

static int ask(struct world *w, const char *path, struct import_status *status)
{
    struct import_request request;
    schema_clear(import_request_schema(), &request);
    SET_TEXT(&request, path, path, strlen(path));
    return probe_call(w->probe, &import_start_contract, &request, status);
}

static struct import_status tell(struct world *w)
{
    struct import_status status;
    struct nothing nothing = { 0 };
    assert_int_equal(probe_call(w->probe, &import_status_contract, &nothing, &status), OK);
    return status;
}

static void import_says(struct world *w, const char *state, const char *path, int64_t at)
{
    struct import_status status;
    schema_clear(import_status_schema(), &status);
    SET_TEXT(&status, state, state, strlen(state));
    SET_TEXT(&status, path, path, strlen(path));
    SET(&status, at, at);
    assert_int_equal(small_file_save(w->status, import_status_schema(), &status), 0);
}

static void nothing_has_been_imported_at_first(void **state)
{
    assert_string_equal(tell(*state).state, "none");
    assert_int_equal(starts(*state), 0);
}

static void a_request_lies_on_the_disk_and_the_supervisor_is_told(void **state)
{
    struct world *w = *state;
    struct import_status status;
    msgpack_sbuffer bytes;
    assert_int_equal(ask(w, w->base, &status), OK);
    assert_string_equal(status.state, "requested");
    assert_string_equal(status.path, w->base);
    assert_true(starts(w) >= 1);
    msgpack_sbuffer_init(&bytes);
    assert_int_equal(small_file_read(w->request, &bytes), 0);
    assert_int_equal(bytes.size, strlen(w->base));
    assert_memory_equal(bytes.data, w->base, bytes.size);
    msgpack_sbuffer_destroy(&bytes);
    assert_int_equal(ask(w, w->base, &status), OK); /* the same again is the same */
}

static void another_one_meanwhile_is_a_conflict(void **state)
{
    struct world *w = *state;
    struct import_status status;
    char other[160];
    snprintf(other, sizeof other, "%s/other.db", w->directory);
    assert_int_equal(small_file_write(other, slice_of("a file")), 0);
    assert_int_equal(ask(w, w->base, &status), OK);
    assert_int_equal(ask(w, other, &status), CONFLICT);
    unlink(w->request);
    assert_int_equal(ask(w, other, &status), OK);
}

static void what_is_no_file_is_refused_at_once(void **state)
{
    struct world *w = *state;
    struct import_status status;
    static const char *const bad[] = { "home.db", "", "/dev/zero", "/tmp", "/no/such/file", "/etc/passwd/x" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(ask(w, bad[i], &status), UNPROCESSABLE);
        assert_string_equal(probe_fault(w->probe).field, "path");
    }
    assert_int_equal(access(w->request, F_OK), -1);
    assert_int_equal(starts(w), 0);
}

static void without_a_supervisor_nothing_is_left_behind(void **state)
{
    struct world *w = *state;
    struct import_status status;
    close(w->supervisor);
    w->supervisor = -1;
    assert_int_equal(ask(w, w->base, &status), UNAVAILABLE);
    assert_int_equal(access(w->request, F_OK), -1);
    assert_string_equal(tell(w).state, "none");
}

static void what_import_says_is_told(void **state)
{
    struct world *w = *state;
    struct import_status status;
    assert_int_equal(ask(w, w->base, &status), OK);
    starts(w);
    import_says(w, "running", w->base, NOW_US - 2000000);
    assert_string_equal(tell(w).state, "running");
    assert_int_equal(starts(w), 0);
    unlink(w->request);
    import_says(w, "done", w->base, NOW_US);
    assert_string_equal(tell(w).state, "done");
    assert_int_equal(starts(w), 0);
}

static void one_that_is_silent_is_started_once_more(void **state)
{
    struct world *w = *state;
    struct import_status status;
    assert_int_equal(ask(w, w->base, &status), OK);
    starts(w);
    import_says(w, "running", w->base, NOW_US - 11000000);
    assert_string_equal(tell(w).state, "running");
    assert_int_equal(starts(w), 1);
}

static void a_new_request_after_one_that_ended_is_about_to_begin(void **state)
{
    struct world *w = *state;
    struct import_status status;
    import_says(w, "failed", w->base, NOW_US - 100000000);
    assert_int_equal(ask(w, w->base, &status), OK);
    assert_string_equal(status.state, "requested");
    assert_string_equal(tell(w).state, "requested");
}

static void a_request_that_was_taken_away_is_told(void **state)
{
    struct world *w = *state;
    import_says(w, "running", w->base, NOW_US);
    assert_string_equal(tell(w).state, "stopped");
}

static void one_that_is_stopped_goes_on_when_it_is_asked_for_again(void **state)
{
    struct world *w = *state;
    struct import_status status;
    struct nothing nothing = { 0 };
    assert_int_equal(probe_call(w->probe, &import_stop_contract, &nothing, &status), CONFLICT);
    assert_int_equal(ask(w, w->base, &status), OK);
    starts(w);
    import_says(w, "running", w->base, NOW_US);
    assert_int_equal(probe_call(w->probe, &import_stop_contract, &nothing, &status), OK);
    assert_string_equal(status.state, "stopped");
    assert_int_equal(told(w, 'd'), 1);
    assert_int_equal(access(w->request, F_OK), -1);
    assert_int_equal(ask(w, w->base, &status), OK);
    assert_true(starts(w) >= 1);
}

static void a_torn_status_is_none(void **state)
{
    struct world *w = *state;
    assert_int_equal(small_file_write(w->status, slice_of("\x93torn")), 0);
    assert_string_equal(tell(w).state, "none");
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_WORLD(nothing_has_been_imported_at_first),
        IN_WORLD(a_request_lies_on_the_disk_and_the_supervisor_is_told),
        IN_WORLD(another_one_meanwhile_is_a_conflict),
        IN_WORLD(what_is_no_file_is_refused_at_once),
        IN_WORLD(without_a_supervisor_nothing_is_left_behind),
        IN_WORLD(what_import_says_is_told),
        IN_WORLD(one_that_is_silent_is_started_once_more),
        IN_WORLD(a_new_request_after_one_that_ended_is_about_to_begin),
        IN_WORLD(a_request_that_was_taken_away_is_told),
        IN_WORLD(one_that_is_stopped_goes_on_when_it_is_asked_for_again),
        IN_WORLD(a_torn_status_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

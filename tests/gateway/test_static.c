/* test_static.c - the web page's files, and nothing beside them. */
#include "client.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct site { char root[200], www[240]; probe_t *probe; struct client *client; };

static void write_file(const char *directory, const char *name, const char *text)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int open_site(void **state)
{
    struct site *s = calloc(1, sizeof *s);
    assert_non_null(s);
    snprintf(s->root, sizeof s->root, "%s/gateway-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(s->root));
    snprintf(s->www, sizeof s->www, "%s/www", s->root);
    mkdir(s->www, 0700);
    write_file(s->www, "index.html", "<p>page</p>");
    write_file(s->www, "app.js", "1");
    write_file(s->www, ".hidden", "secret");
    write_file(s->root, "secret", "secret");
    char from[300];
    snprintf(from, sizeof from, "%s/link.txt", s->www);
    assert_int_equal(symlink("../secret", from), 0);
    s->probe = gateway_new("web_root", s->www);
    s->client = client_new(s->probe);
    *state = s;
    return 0;
}

static int close_site(void **state)
{
    struct site *s = *state;
    char command[300];
    client_destroy(&s->client);
    probe_destroy(&s->probe);
    snprintf(command, sizeof command, "rm -r '%s'", s->root);
    int failed = system(command);
    free(s);
    return failed;
}

static void serves_the_page_to_browsers_and_json_to_others(void **state)
{
    struct site *s = *state;
    client_say(s->client, "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html,*/*\r\n\r\n");
    assert_int_equal(client_status(s->client), 200);
    assert_true(client_has(s->client, "Content-Type: text/html; charset=utf-8\r\n"));
    assert_true(client_has(s->client, "Content-Security-Policy: default-src 'none'; script-src 'self'"));
    assert_string_equal(client_body(s->client), "<p>page</p>");
    client_forget(s->client);
    client_get(s->client, "/");
    assert_true(client_has(s->client, "Content-Type: application/json\r\n"));
    client_forget(s->client);
    client_get(s->client, "/app.js?x");
    assert_true(client_has(s->client, "Content-Type: text/javascript; charset=utf-8\r\n"));
}

static void sends_a_file_once_to_those_who_have_it(void **state)
{
    struct site *s = *state;
    char tag[100], text[300];
    client_get(s->client, "/app.js");
    const char *at = strstr(s->client->received, "ETag: ");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "ETag: %99s", tag), 1);
    client_forget(s->client);
    snprintf(text, sizeof text, "GET /app.js HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: \"x\", %s\r\n\r\n", tag);
    client_say(s->client, text);
    assert_int_equal(client_status(s->client), 304);
    assert_false(client_has(s->client, "Content-Length"));
    assert_string_equal(client_body(s->client), "");
}

static void gives_nothing_beside_its_files(void **state)
{
    struct site *s = *state;
    static const char *const targets[] = {
        "/../secret", "/%2e%2e/secret", "/..%2fsecret", "/%2e%2e%2fsecret", "//etc/passwd", "/./app.js", "/.hidden",
        "/app.js/", "/app.js%00.html", "/..%5csecret", "/link.txt", "/%", "/", "/%2f", "/www/../../secret", "/%2Fetc%2Fpasswd",
    };
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        client_forget(s->client);
        client_get(s->client, targets[i]);
        if (strcmp(targets[i], "/") && client_status(s->client) != 404)
            fail_msg("%d for %s", client_status(s->client), targets[i]);
        assert_false(client_has(s->client, "secret\n") || client_has(s->client, "root:"));
    }
}

static void files_take_no_other_method(void **state)
{
    struct site *s = *state;
    client_say(s->client, "PUT /app.js HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(client_status(s->client), 405);
    assert_true(client_has(s->client, "\r\nAllow: GET, HEAD, OPTIONS\r\n"));
    client_forget(s->client);
    client_say(s->client, "OPTIONS /app.js HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(client_status(s->client), 204);
    client_forget(s->client);
    client_say(s->client, "PUT /none.js HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(client_status(s->client), 404);
}

static void refuses_a_web_root_that_is_not_there(void **state)
{
    (void)state;
    assert_null(probe_new((const char *const[]){ "web_root", "/nonexistent", NULL }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(serves_the_page_to_browsers_and_json_to_others, open_site, close_site),
        cmocka_unit_test_setup_teardown(sends_a_file_once_to_those_who_have_it, open_site, close_site),
        cmocka_unit_test_setup_teardown(gives_nothing_beside_its_files, open_site, close_site),
        cmocka_unit_test_setup_teardown(files_take_no_other_method, open_site, close_site),
        cmocka_unit_test(refuses_a_web_root_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

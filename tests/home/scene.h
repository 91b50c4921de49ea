/* scene.h - a home and its client for tests, without a socket: the outbox is read instead. */
#ifndef HOME_SCENE_H
#define HOME_SCENE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "home.h"
#include "read.h"

#include <stdio.h>
#include <stdlib.h>

#define NOW INT64_C(1795456800000000)
#define TOKEN "a-simulated-home-needs-no-secret-token"
#define LIMITED "this-user-is-no-administrator-at-all"

struct scene {
    struct options options;
    struct home *home;
    struct session *client;
    struct text frames;
    size_t at;
};

static inline void nobody_wakes(struct session *session)
{
    (void)session;
}

static inline void nobody_thaws(struct session *session, bool reads)
{
    (void)session;
    (void)reads;
}

static inline int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);

    scene->options = (struct options){.token = TOKEN,
        .limited_token = LIMITED,
        .seed = 1,
        .entities = 60,
        .events = -1,
        .version = HA_2026_2,
        .history_bytes = 1 << 20,
        .rate = 100};
    scene->home = home_new(&scene->options, NOW);
    scene->home->wake = nobody_wakes;
    scene->home->thaw = nobody_thaws;
    scene->client = session_open(scene->home, NULL);
    *state = scene;
    return 0;
}

static inline int tear_down(void **state)
{
    struct scene *scene = *state;

    while (scene->home->session_count)
        session_closed(scene->home->sessions[0], "test");
    home_destroy(&scene->home);
    text_free(&scene->frames);
    free(scene);
    return 0;
}

static inline void say(struct scene *scene, const char *words)
{
    session_receive(scene->client, slice_of(words));
}

/* The next frame that the client would get; empty if there is none. */
static inline struct slice hear(struct scene *scene)
{
    struct text *frames = &scene->frames;

    if (scene->at == frames->size) {
        scene->at = frames->size = 0;
        outbox_frames(&scene->client->outbox, frames, 1, scene->client->coalesce);
        if (!frames->size)
            return (struct slice){0};
    }
    const unsigned char *head = (const unsigned char *)frames->data + scene->at;
    assert_int_equal(head[0], 0x81);
    size_t size = head[1], skip = 2;
    if (size > 125) {
        skip = size == 126 ? 4 : 10;
        size = 0;
        for (size_t i = 2; i < skip; i++)
            size = size << 8 | head[i];
    }
    scene->at += skip + size;
    assert_true(scene->at <= frames->size);
    struct slice frame = {head + skip, size};
    assert_true(read_valid(frame));
    return frame;
}

static inline void assert_heard(struct scene *scene, const char *words)
{
    struct slice frame = hear(scene);

    if (!frame.size || !memmem(frame.data, frame.size, words, strlen(words)))
        fail_msg("heard %.*s instead of %s", (int)frame.size, (const char *)frame.data, words);
}

static inline void enter(struct scene *scene, const char *token)
{
    char auth[200];

    assert_heard(scene, "{\"type\":\"auth_required\",\"ha_version\":\"2026.2.3\"}");
    snprintf(auth, sizeof auth, "{\"type\":\"auth\",\"access_token\":\"%s\"}", token);
    say(scene, auth);
}

static inline void enter_as_admin(struct scene *scene)
{
    enter(scene, TOKEN);
    assert_heard(scene, "auth_ok");
}

static inline void order(struct scene *scene, const char *command, bool done)
{
    struct text answer = {0};

    assert_int_equal(fault_run(scene->home, slice_of(command), &answer), done);
    text_free(&answer);
}

#define WITH_HOME(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif

/* heartbeat.c - what an actor says of itself every two seconds, and when its status changes. */
#include "actor_state.h"
#include "life.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BEAT_MS = 2000, SOON_MS = 100 };

static int64_t cpu_us(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

static void set_rss(actor_t *self, struct heartbeat *beat)
{
    char text[128];
    long long pages;
    if (self->statm_fd < 0)
        self->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = self->statm_fd < 0 ? -1 : pread(self->statm_fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return;
    text[n] = '\0';
    if (sscanf(text, "%*s %lld", &pages) == 1)
        SET(beat, rss_bytes, pages * sysconf(_SC_PAGESIZE));
}

static const char *status_of(actor_t *self, char *why, size_t size)
{
    static const char *const words[] = { [HEALTHY] = "healthy", [DEGRADED] = "degraded", [UNHEALTHY] = "unhealthy" };
    static const char starting[] = "starting", stopping[] = "stopping";
    *why = '\0';
    if (self->is_stopping || !self->is_ready)
        return self->is_stopping ? stopping : starting;
    return words[self->spec->health ? self->spec->health(self->self, self, why, size) : HEALTHY];
}

static void say(actor_t *self, const char *status, const char *why)
{
    struct heartbeat beat = { 0 };
    msgpack_sbuffer counters;
    msgpack_sbuffer_init(&counters);
    if (status != self->said_status)
        life_status(*why ? why : status);
    self->said_status = status;
    self->said_us = self->clock_us;
    SET_TEXT(&beat, actor, self->spec->name, strlen(self->spec->name));
    SET_TEXT(&beat, instance, self->suite.instance, self->suite.instance_size);
    SET_TEXT(&beat, status, status, strlen(status));
    if (*why)
        SET_TEXT(&beat, why, why, strnlen(why, sizeof beat.why - 1));
    SET(&beat, pid, getpid());
    SET(&beat, started_at, self->started_us);
    SET(&beat, at, self->now_us);
    SET(&beat, every_ms, BEAT_MS);
    SET(&beat, cpu_us, cpu_us());
    set_rss(self, &beat);
    SET_TEXT(&beat, version, SUITE_VERSION, strlen(SUITE_VERSION));
    if (self->spec->stats.schema) {
        schema_json(self->spec->stats.schema(), (const char *)self->self + self->spec->stats.at, &counters);
        SET(&beat, counters, (struct slice){ counters.data, counters.size });
    }
    publish_actor_heartbeat(self, &beat);
    msgpack_sbuffer_destroy(&counters);
}

/* What happened since it was looked at last may have changed the status: it is looked at again
 * soon, however quiet it is by then. */
void heartbeat_work(actor_t *self)
{
    char why[241];
    bool is_moved = self->looked_stirs != self->stirs;
    if (is_moved && self->beat_us > self->looked_us + SOON_MS * 1000)
        self->beat_us = self->looked_us + SOON_MS * 1000;
    if (self->clock_us < self->beat_us)
        return;
    const char *status = status_of(self, why, sizeof why);
    if (status != self->said_status || self->clock_us - self->said_us >= BEAT_MS * 1000)
        say(self, status, why);
    self->looked_us = self->clock_us;
    self->looked_stirs = self->stirs;
    self->beat_us = self->said_us + BEAT_MS * 1000;
}

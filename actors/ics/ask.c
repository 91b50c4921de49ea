/* ask.c - events out of an iCalendar file, as the program `ics` reads it: what it says is looked at before it is believed. */
#include "child.h"
#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { ANSWER_MS = 4000 /* an actor is silent after 5 s */, EVENTS_MAX = 100000 }; /* reading ends after 2 s by itself */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Moves all of the bytes, or -1: it has ended, or the time is over. */
static int move_bytes(const struct child *child, void *bytes, size_t size, bool is_ours, int64_t until_ms)
{
    for (size_t done = 0; done < size;) {
        struct pollfd there = { .fd = child->fd, .events = is_ours ? POLLOUT : POLLIN };
        int64_t left_ms = until_ms - now_ms();
        if (left_ms <= 0 || (poll(&there, 1, (int)left_ms) < 0 && errno != EINTR))
            return -1;
        ssize_t n = is_ours ? send(child->fd, (char *)bytes + done, size - done, MSG_DONTWAIT | MSG_NOSIGNAL)
            : recv(child->fd, (char *)bytes + done, size - done, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return -1;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

struct asking {
    struct child child;
    int64_t from_us, to_us, until_ms;
    ics_event_fn *tell;
    void *owner;
    size_t events;
    char *text;             /* of one event: three of the longest */
};

static int put_question(struct asking *self, struct slice text, const char *zone)
{
    struct ics_question question;
    memset(&question, 0, sizeof question);
    question.from_us = self->from_us;
    question.to_us = self->to_us;
    snprintf(question.zone, sizeof question.zone, "%s", zone);
    if (move_bytes(&self->child, &question, sizeof question, true, self->until_ms)
            || move_bytes(&self->child, (void *)(uintptr_t)text.data, text.size, true, self->until_ms))
        return -1;
    return shutdown(self->child.fd, SHUT_WR);
}

static bool is_sane(const struct asking *self, const struct ics_said *said)
{
    if (said->is_end)
        return said->is_end == 1 && said->is_calendar <= 1;
    return said->is_all_day <= 1 && said->summary <= ICS_COMPONENT && said->location <= ICS_COMPONENT && said->description <= ICS_COMPONENT
        && said->from_us >= 0 && said->to_us >= said->from_us && said->from_us < self->to_us && said->to_us >= self->from_us
        && self->events < EVENTS_MAX;
}

static int take_event(struct asking *self, const struct ics_said *said)
{
    size_t size = (size_t)said->summary + said->location + said->description;
    if (move_bytes(&self->child, self->text, size, false, self->until_ms))
        return -1;
    self->events++;
    self->tell(self->owner, &(struct ics_event){ .from_us = said->from_us, .to_us = said->to_us, .is_all_day = said->is_all_day,
        .summary = { self->text, said->summary }, .location = { self->text + said->summary, said->location },
        .description = { self->text + said->summary + said->location, said->description } });
    return 0;
}

/* What is said until the end. -1: there is none. */
static int take_answer(struct asking *self, struct ics_said *said)
{
    while (move_bytes(&self->child, said, sizeof *said, false, self->until_ms) == 0) {
        if (!is_sane(self, said) || (!said->is_end && take_event(self, said)))
            return -1;
        if (said->is_end)
            return 0;
    }
    return -1;
}

int ics_read(struct slice text, const zone_t *home, int64_t from_us, int64_t to_us, ics_event_fn *tell, void *owner, size_t *odd, const char **why)
{
    struct asking self = { .from_us = from_us, .to_us = to_us, .until_ms = now_ms() + ANSWER_MS, .tell = tell, .owner = owner };
    struct ics_said said = { .is_end = false };
    int rc = -1;
    *why = "cannot be read: the program ics cannot be started";
    if (child_start(&self.child, "ics"))
        return -1;
    *why = "cannot be read: the program ics gave no answer";
    self.text = malloc(3 * (size_t)ICS_COMPONENT);
    if (!self.text)
        abort();
    if (put_question(&self, text, zone_name(home)) == 0 && take_answer(&self, &said) == 0) {
        *why = "is no calendar (iCalendar, .ics), or not a whole one";
        *odd = (size_t)said.odd;
        rc = said.is_calendar ? 0 : -1;
    }
    child_end(&self.child);
    free(self.text);
    return rc;
}

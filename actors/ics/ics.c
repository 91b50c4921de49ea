/* ics.c - one iCalendar file, then the end: a program of its own, the only one with libical and the 30 MB of ICU behind it.
 *
 * The question comes over standard input, what is found goes over standard output (wire.h). Whoever asks bounds the time. */
#include "wire.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { EXIT_USAGE = 100, EXIT_WORLD = 111 };

/* As much as there is, `most` at most: how much. */
static size_t read_up_to(void *to, size_t most)
{
    size_t got = 0;
    for (ssize_t n; got < most && ((n = read(STDIN_FILENO, (char *)to + got, most - got)) > 0 || (n < 0 && errno == EINTR));)
        got += n > 0 ? (size_t)n : 0;
    return got;
}

static void say(const void *from, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(STDOUT_FILENO, (const char *)from + done, size - done);
        if (n < 0 && errno != EINTR)
            exit(EXIT_WORLD); /* nobody listens any more */
        done += n > 0 ? (size_t)n : 0;
    }
}

static void tell(void *owner, const struct ics_event *event)
{
    (void)owner;
    struct ics_said said;
    memset(&said, 0, sizeof said);
    said.from_us = event->from_us;
    said.to_us = event->to_us;
    said.is_all_day = event->is_all_day;
    said.summary = (uint32_t)event->summary.size;
    said.location = (uint32_t)event->location.size;
    said.description = (uint32_t)event->description.size;
    say(&said, sizeof said);
    say(event->summary.data, event->summary.size);
    say(event->location.data, event->location.size);
    say(event->description.data, event->description.size);
}

/* Where there is no such zone nothing is said, and that is told as an end without an answer. */
static int run(const struct ics_question *question, char *file)
{
    struct ics_said said;
    size_t odd = 0, size = read_up_to(file, ICS_BYTES);
    const char *why;
    zone_t *zone = zone_open(question->zone, &why);
    if (!zone)
        return EXIT_WORLD;
    memset(&said, 0, sizeof said);
    said.is_calendar = ics_read((struct slice){ file, size }, zone, question->from_us, question->to_us, tell, NULL, &odd, &why) == 0;
    said.is_end = true;
    said.odd = odd;
    say(&said, sizeof said);
    zone_destroy(&zone);
    return 0;
}

int main(int argc, char **argv)
{
    struct ics_question question;
    (void)argv;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* who ended before this line has closed the socket: the writing fails */
    if (argc > 1 || isatty(STDIN_FILENO)) {
        fprintf(stderr, "ics: calendar starts it to read a file; it is of no use by hand\n");
        return EXIT_USAGE;
    }
    char *file = malloc(ICS_BYTES);
    if (!file || read_up_to(&question, sizeof question) < sizeof question || !memchr(question.zone, '\0', sizeof question.zone))
        return EXIT_USAGE;
    int code = run(&question, file);
    free(file);
    return code;
}

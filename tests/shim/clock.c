/* clock.c - LD_PRELOAD: the wall clock runs ahead by what the file CLOCK_FILE says (an int64 of
 * microseconds, shared by all processes that are to believe it). The monotonic clock is left alone. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t nothing;
static _Atomic int64_t *ahead_us = &nothing;

__attribute__((constructor)) static void map_clock(void)
{
    const char *path = getenv("CLOCK_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (file < 0)
        return;
    void *memory = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (memory != MAP_FAILED)
        ahead_us = memory;
    close(file);
}

static int real_clock(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);

    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    return real(clock, now);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = real_clock(clock, now);

    if (failed || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return failed;
    int64_t us = atomic_load_explicit(ahead_us, memory_order_relaxed);
    now->tv_sec += us / 1000000;
    now->tv_nsec += us % 1000000 * 1000;
    if (now->tv_nsec >= 1000000000) {
        now->tv_nsec -= 1000000000;
        now->tv_sec++;
    }
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec spec;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &spec);
    *now = (struct timeval){.tv_sec = spec.tv_sec, .tv_usec = spec.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *seconds)
{
    struct timespec spec;

    clock_gettime(CLOCK_REALTIME, &spec);
    if (seconds)
        *seconds = spec.tv_sec;
    return spec.tv_sec;
}

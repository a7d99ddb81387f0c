#define _GNU_SOURCE
#include "csystem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

int csys_die_with_parent(void) { return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 ? 0 : errno; }

int csys_has_avx512(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
#else
    return 0;
#endif
}

int csys_has_avx2(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return 0;
#endif
}

static const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

int csys_sealed_memory(const char *name, uint64_t bytes) {
    int descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (descriptor < 0) return -1;
    if (ftruncate(descriptor, (off_t)bytes) == 0 && fcntl(descriptor, F_ADD_SEALS, seals) == 0) return descriptor;
    int found = errno;
    close(descriptor);
    errno = found;
    return -1;
}

int csys_is_sealed_memory(int descriptor, uint64_t bytes) {
    struct stat about;
    int found = fcntl(descriptor, F_GET_SEALS);
    return found >= 0 && (found & seals) == seals && fstat(descriptor, &about) == 0 && (uint64_t)about.st_size == bytes;
}

// Guarded mappings, from `start` up to `end`; start 0 = a free place.
enum { mappings_most = 4096 };
static struct {
    uintptr_t start, end;
    uint32_t losses;
} mappings[mappings_most];
static pthread_mutex_t mappings_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction bus_before;
static uintptr_t page_bytes;

// Runs on the thread that touched the page; takes no lock, calls nothing but the kernel.
static void bus_error(int number, siginfo_t *about, void *context) {
    (void)context;
    int before = errno;
    uintptr_t address = (uintptr_t)about->si_addr, page = address / page_bytes * page_bytes, end = 0;
    for (int place = 0; place < mappings_most && end == 0; place++) {
        uintptr_t start = __atomic_load_n(&mappings[place].start, __ATOMIC_ACQUIRE);
        if (start == 0 || address < start || address >= mappings[place].end) continue;
        __atomic_add_fetch(&mappings[place].losses, 1, __ATOMIC_SEQ_CST);
        end = mappings[place].end;
    }
    // What is behind the end of a file is gone as well: one mapping for all of it, the kernel has few to give.
    if (end == 0
        || mmap((void *)page, end - page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
        // None of ours: the access happens again, to whoever was to hear of it before.
        sigaction(number, &bus_before, NULL);
    }
    errno = before;
}

static void catch_bus_errors(void) {
    page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    struct sigaction action = {.sa_sigaction = bus_error, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &bus_before);
}

int csys_guard_mapping(const void *start, uint64_t bytes) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, catch_bus_errors);
    int found = -1;
    pthread_mutex_lock(&mappings_lock);
    for (int place = 0; place < mappings_most && found < 0; place++) {
        if (mappings[place].start == 0) found = place;
    }
    if (found >= 0) {
        mappings[found].end = (uintptr_t)start + (bytes + page_bytes - 1) / page_bytes * page_bytes;
        __atomic_store_n(&mappings[found].losses, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&mappings[found].start, (uintptr_t)start, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&mappings_lock);
    return found;
}

uint32_t csys_lost_pages(int number) { return __atomic_load_n(&mappings[number].losses, __ATOMIC_SEQ_CST); }

void csys_forget_mapping(int number) { __atomic_store_n(&mappings[number].start, 0, __ATOMIC_RELEASE); }

int csys_bypass_cache(int descriptor, int bypass) {
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0) return errno;
    return fcntl(descriptor, F_SETFL, bypass ? flags | O_DIRECT : flags & ~O_DIRECT) == 0 ? 0 : errno;
}

void csys_spread_thread(unsigned place, unsigned places) {
    cpu_set_t all, part;
    if (sched_getaffinity(0, sizeof all, &all) != 0) return;
    unsigned cores = (unsigned)CPU_COUNT(&all), parts = places < cores ? places : cores, seen = 0;
    if (parts < 2) return;
    CPU_ZERO(&part);
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (!CPU_ISSET(core, &all)) continue;
        if (seen * parts / cores == place % parts) CPU_SET(core, &part);
        seen++;
    }
    (void)sched_setaffinity(0, sizeof part, &part);
}

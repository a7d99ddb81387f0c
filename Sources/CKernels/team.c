// team.c: a fixed team of threads that shares out the indices of one loop at a time.
//
// Which thread runs which index is left to chance, so an index must stand for a block of work whose bounds and
// arithmetic depend on the shape alone. Dispatch is cheap: a worker spins for some tens of microseconds before it
// sleeps, and the caller works too, so that a team whose workers are late or asleep still finishes.
//
// `ticket` packs (run number, indices left) in one word. A worker claims an index by compare-and-swap; because the
// caller stays in dk_team_run until every claimed index is finished, what it published (body, context, count) is stable
// from a successful claim on, and a claim against an old run cannot succeed.
#define _GNU_SOURCE
#include "ckernels.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SPINS 4000  // of one pause each: 40 to 150 µs

struct dk_team {
    _Alignas(64) _Atomic uint64_t ticket;    // run number << 32 | indices left to claim
    _Alignas(64) _Atomic long finished;      // indices done in this run
    _Alignas(64) _Atomic int sleepers;       // workers waiting on `wake`
    _Atomic int caller_sleeps;
    _Atomic int stop;
    long count;
    void (*body)(void *, long);
    void *context;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_cond_t done;
    int workers;
    pthread_t ids[];
};

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint32_t left(uint64_t ticket) { return (uint32_t)ticket; }

// Claims and runs indices until none is left.
static void work(struct dk_team *team) {
    uint64_t ticket = atomic_load(&team->ticket);
    while (left(ticket) > 0) {
        if (!atomic_compare_exchange_weak(&team->ticket, &ticket, ticket - 1)) continue;
        long count = team->count;
        team->body(team->context, count - (long)left(ticket));
        if (atomic_fetch_add(&team->finished, 1) + 1 == count && atomic_load(&team->caller_sleeps)) {
            pthread_mutex_lock(&team->lock);
            pthread_cond_signal(&team->done);
            pthread_mutex_unlock(&team->lock);
        }
        ticket = atomic_load(&team->ticket);
    }
}

static void sleep_until_work(struct dk_team *team) {
    for (int spin = 0; spin < SPINS; spin++) {
        if (left(atomic_load_explicit(&team->ticket, memory_order_relaxed)) > 0) return;
        if (atomic_load_explicit(&team->stop, memory_order_relaxed)) return;
        relax();
    }
    pthread_mutex_lock(&team->lock);
    atomic_fetch_add(&team->sleepers, 1);
    while (left(atomic_load(&team->ticket)) == 0 && !atomic_load(&team->stop)) {
        pthread_cond_wait(&team->wake, &team->lock);
    }
    atomic_fetch_sub(&team->sleepers, 1);
    pthread_mutex_unlock(&team->lock);
}

static void *worker(void *argument) {
    struct dk_team *team = argument;
    dk_floats_enter();
    while (!atomic_load(&team->stop)) {
        work(team);
        sleep_until_work(team);
    }
    return NULL;
}

void dk_team_run(struct dk_team *team, long count, void (*body)(void *, long), void *context) {
    uint64_t found = dk_floats_enter();
    if (team->workers == 0 || count <= 1) {
        for (long index = 0; index < count; index++) body(context, index);
        dk_floats_leave(found);
        return;
    }
    // 1. Publish. The run number makes a stale claim fail.
    team->count = count;
    team->body = body;
    team->context = context;
    atomic_store(&team->finished, 0);
    atomic_store(&team->ticket, ((atomic_load(&team->ticket) >> 32) + 1) << 32 | (uint32_t)count);
    if (atomic_load(&team->sleepers) > 0) {
        pthread_mutex_lock(&team->lock);
        pthread_cond_broadcast(&team->wake);
        pthread_mutex_unlock(&team->lock);
    }
    // 2. Work along, then wait for those still busy.
    work(team);
    for (int spin = 0; spin < SPINS && atomic_load(&team->finished) < count; spin++) relax();
    if (atomic_load(&team->finished) < count) {
        pthread_mutex_lock(&team->lock);
        atomic_store(&team->caller_sleeps, 1);
        while (atomic_load(&team->finished) < count) pthread_cond_wait(&team->done, &team->lock);
        atomic_store(&team->caller_sleeps, 0);
        pthread_mutex_unlock(&team->lock);
    }
    dk_floats_leave(found);
}

struct dk_team *dk_team_create(int threads) {
    int workers = threads - 1;
    size_t bytes = sizeof(struct dk_team) + (size_t)workers * sizeof(pthread_t);
    struct dk_team *team = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!team) return NULL;
    *team = (struct dk_team){.workers = 0};
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->wake, NULL);
    pthread_cond_init(&team->done, NULL);
    for (; team->workers < workers; team->workers++) {
        if (pthread_create(&team->ids[team->workers], NULL, worker, team) == 0) continue;
        dk_team_destroy(team);
        return NULL;
    }
    return team;
}

void dk_team_destroy(struct dk_team *team) {
    pthread_mutex_lock(&team->lock);
    atomic_store(&team->stop, 1);
    pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->lock);
    for (int i = 0; i < team->workers; i++) pthread_join(team->ids[i], NULL);
    pthread_cond_destroy(&team->done);
    pthread_cond_destroy(&team->wake);
    pthread_mutex_destroy(&team->lock);
    free(team);
}

// ckernels.h: Drover's own arithmetic on memory, in C11. Nothing here allocates in steady state, prints or exits.
#pragma once
#include "ckernels_types.h"

// A fixed team of threads. The caller of dk_team_run is one of them; NULL when threads cannot be made.
struct dk_team;
struct dk_team *dk_team_create(int threads);
void dk_team_destroy(struct dk_team *team);
// Runs body(context, 0 ..< count), each index once, on whichever thread is free; returns when all are done. Not reentrant.
void dk_team_run(struct dk_team *team, long count, void (*body)(void *context, long index), void *context);

// Floating-point mode of the calling thread: subnormals are zero, round to nearest even. `leave` restores what `enter` found.
uint64_t dk_floats_enter(void);
void dk_floats_leave(uint64_t found);

// Zeroed memory on 64-byte bounds, on huge pages where the system has them. NULL when there is none.
void *dk_memory_create(size_t bytes);
void dk_memory_destroy(void *memory, size_t bytes);

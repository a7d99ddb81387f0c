// Calls of Linux that Swift can't make: they take variable arguments, or run inside a signal handler.
#pragma once

#include <stdint.h>

// Makes the kernel kill this process when the thread that started it ends, however it ends. 0 = done, else errno.
// The caller then checks that its parent is still the one that started it: it may have died before.
int csys_die_with_parent(void);

// 1 when the processor and the operating system run AVX-512 F, BW, DQ, VL and CD; 0 otherwise.
int csys_has_avx512(void);

// 1 when the processor and the operating system run AVX2 and FMA; 0 otherwise.
int csys_has_avx2(void);

// Words of memory that two processes share: one order of all of them, for both (sequential consistency).
static inline uint32_t csys_load(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }
static inline void csys_store(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_SEQ_CST); }
// Takes bits out of a word; what is left.
static inline uint32_t csys_clear(uint32_t *word, uint32_t bits) {
    return __atomic_and_fetch(word, ~bits, __ATOMIC_SEQ_CST);
}

// Makes a file in memory that keeps its size for good (memfd_create(2), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL): to
// read it never traps. The descriptor, or -1 and errno.
int csys_sealed_memory(const char *name, uint64_t bytes);
// 1 when the descriptor is such a file of that size.
int csys_is_sealed_memory(int descriptor, uint64_t bytes);

// Memory that is a mapped file which somebody may shorten meanwhile: where pages of it can't be had any more, zeros
// stand in from then on, up to the end, instead of a SIGBUS that ends the process. Before anything read is used it is to
// be asked whether that happened. SIGBUS of any other cause does what it did before. `start` is a page's first byte.
// A number for the calls below, or -1 when there are too many already: then nothing has changed.
int csys_guard_mapping(const void *start, uint64_t bytes);
// How often zeros had to stand in since the mapping was guarded.
uint32_t csys_lost_pages(int number);
// Before the mapping goes away.
void csys_forget_mapping(int number);

// Lets transfers of an open file bypass the system's cache (open(2), O_DIRECT) or use it again. 0 = done, else errno.
int csys_bypass_cache(int descriptor, int bypass);

// Keeps the calling thread, which is number `place` of `places` that do the same work, to its part of the cores that it
// may use: they are cut into as many parts as there are threads, or cores where those are fewer. Where the system refuses
// the thread stays free.
void csys_spread_thread(unsigned place, unsigned places);

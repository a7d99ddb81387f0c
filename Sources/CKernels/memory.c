// memory.c: large blocks of zeroed memory.
//
// Blocks of 2 MiB and more are mapped on 2 MiB bounds and advised to be huge pages: one page-table walk serves 512
// times the memory, and the first touch of each page costs one fault instead of 512.
#define _GNU_SOURCE
#include "ckernels.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const size_t huge = (size_t)2 << 20;

static size_t rounded(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

static void *create_huge(size_t bytes) {
    // 1. Map one huge page too many, so that an aligned block lies inside.
    size_t length = rounded(bytes, huge);
    char *start = mmap(NULL, length + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return NULL;
    // 2. Give back what lies before and behind it.
    char *aligned = (char *)rounded((size_t)start, huge);
    if (aligned > start) munmap(start, (size_t)(aligned - start));
    size_t behind = (size_t)(start + huge - aligned);
    if (behind > 0) munmap(aligned + length, behind);
#if defined(MADV_HUGEPAGE)
    madvise(aligned, length, MADV_HUGEPAGE);  // advice: refusing it costs speed only
#endif
    return aligned;
}

void *dk_memory_create(size_t bytes) {
    if (bytes >= huge) return create_huge(bytes);
    size_t length = rounded(bytes > 0 ? bytes : 1, 64);
    void *memory = aligned_alloc(64, length);
    if (memory) memset(memory, 0, length);
    return memory;
}

void dk_memory_destroy(void *memory, size_t bytes) {
    if (bytes >= huge) munmap(memory, rounded(bytes, huge));
    else free(memory);
}

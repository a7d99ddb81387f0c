// scratch.c: memory of one thread, grown and kept, so that kernels allocate nothing in steady state.
#include "ckernels.h"
#include <pthread.h>
#include <stdlib.h>

struct scratch {
    void *memory;
    size_t bytes;
};

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local struct scratch mine;

static void release(void *owner) {
    struct scratch *scratch = owner;
    dk_memory_destroy(scratch->memory, scratch->bytes);
    *scratch = (struct scratch){0};
}

static void make_key(void) { pthread_key_create(&key, release); }

void *dk_scratch(size_t bytes) {
    if (bytes <= mine.bytes) return mine.memory;
    pthread_once(&once, make_key);
    if (mine.memory) release(&mine);
    void *memory = dk_memory_create(bytes);
    if (!memory) abort();  // a kernel cannot go on, and has nobody to tell
    mine = (struct scratch){memory, bytes};
    pthread_setspecific(key, &mine);  // its destructor frees the memory when the thread ends
    return memory;
}

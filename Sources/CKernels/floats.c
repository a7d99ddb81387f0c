// floats.c: the floating-point mode every kernel runs in.
//
// Subnormal numbers are flushed to zero on input and output: they are slow on most cores, and whether they are kept
// must not depend on which thread an operation ran on. Rounding is to nearest even.
#include "ckernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define FLUSH_TO_ZERO 0x8000u
#define DENORMALS_ARE_ZERO 0x0040u
#define ALL_MASKED 0x1f80u  // no traps, round to nearest

uint64_t dk_floats_enter(void) {
    uint64_t found = _mm_getcsr();
    _mm_setcsr(ALL_MASKED | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
    return found;
}

void dk_floats_leave(uint64_t found) { _mm_setcsr((unsigned)found); }

#elif defined(__aarch64__)

#define FLUSH_TO_ZERO (1ull << 24)  // FPCR.FZ: inputs and outputs

uint64_t dk_floats_enter(void) {
    uint64_t found;
    __asm__ volatile("mrs %0, fpcr" : "=r"(found));
    __asm__ volatile("msr fpcr, %0" : : "r"(FLUSH_TO_ZERO));
    return found;
}

void dk_floats_leave(uint64_t found) { __asm__ volatile("msr fpcr, %0" : : "r"(found)); }

#else

uint64_t dk_floats_enter(void) { return 0; }
void dk_floats_leave(uint64_t found) { (void)found; }

#endif

// wire.c: gradients on their way between workers.
//
// What comes off the wire is the same as what the sender kept: rounding is idempotent, so that a sum which was rounded
// when it was made crosses the wire without another change. For int8 that needs scales that are powers of two: a
// block's largest integer is then at least 64, and the scale it asks for is the one it has.
#include "ckernels_wire.h"

#include <string.h>

#include "ckernels.h"

static inline uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

static inline float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

void dk_wire_add(float *y, const void *a, const void *b, long count) {
    uint64_t found = dk_floats_enter();
    for (long i = 0; i < count; i++) {
        float left, right;
        memcpy(&left, (const char *)a + 4 * i, 4);
        memcpy(&right, (const char *)b + 4 * i, 4);
        y[i] = left + right;
    }
    dk_floats_leave(found);
}

void dk_wire_copy(float *y, const void *x, long count) {
    typedef float quad __attribute__((vector_size(16)));
    const char *from = x;
    // 1. Up to the first whole line of the target.
    long head = (long)((64 - ((uintptr_t)y & 63)) & 63) / 4;
    if (head > count) head = count;
    memcpy(y, from, (size_t)head * 4);
    // 2. Whole lines.
    long i = head;
    for (; i + 16 <= count; i += 16) {
        for (int part = 0; part < 4; part++) {
            quad four;
            memcpy(&four, from + 4 * (i + 4 * part), sizeof four);
            __builtin_nontemporal_store(four, (quad *)(y + i + 4 * part));
        }
    }
    // 3. The rest; then all of it is there for other threads.
    memcpy(y + i, from + 4 * i, (size_t)(count - i) * 4);
#if defined(__x86_64__)
    __builtin_ia32_sfence();
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

// Works on the bits: no floating-point mode has a say.
static inline uint16_t bf16_of(float x) {
    uint32_t bits = bits_of(x);
    uint32_t magnitude = bits & 0x7fffffffu;
    uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1)) >> 16;
    uint32_t quiet = (bits >> 16) | 0x40u;
    uint32_t zero = (bits >> 16) & 0x8000u;
    uint32_t result = magnitude > 0x7f800000u ? quiet : rounded;
    return (uint16_t)(magnitude < 0x00800000u ? zero : result);
}

void dk_wire_to_bf16(uint16_t *y, const float *x, long count) {
    for (long i = 0; i < count; i++) y[i] = bf16_of(x[i]);
}

void dk_wire_from_bf16(float *y, const uint16_t *x, long count) {
    for (long i = 0; i < count; i++) y[i] = float_of((uint32_t)x[i] << 16);
}

void dk_wire_round_bf16(float *x, long count) {
    for (long i = 0; i < count; i++) x[i] = float_of((uint32_t)bf16_of(x[i]) << 16);
}

#define NOT_FINITE 255u
#define LARGEST_CODE 248u  // above it 64 · 2^(code − 127) is no fp32 any more

// The code of a block whose largest magnitude has these bits. 127 · 2^e is 1.984375 · 2^(e + 6).
static inline uint32_t code_of(uint32_t magnitude) {
    uint32_t exponent = magnitude >> 23, fraction = magnitude & 0x7fffffu;
    if (exponent == 255) return NOT_FINITE;
    uint32_t code = exponent - (fraction <= 0x7e0000u ? 6 : 5);
    if (exponent < 7) return 0;
    return code > LARGEST_CODE ? NOT_FINITE : code;
}

static uint32_t block_code(const float *x, long count) {
    uint32_t largest = 0;
    for (long i = 0; i < count; i++) {
        uint32_t magnitude = bits_of(x[i]) & 0x7fffffffu;
        largest = magnitude > largest ? magnitude : largest;
    }
    return code_of(largest);
}

// To the nearest integer, ties to even, for magnitudes below 2^22.
static inline float nearest(float x) { return (x + 12582912.0f) - 12582912.0f; }

static void block_to_int8(int8_t *y, uint32_t code, const float *x, long count) {
    if (code == 0 || code == NOT_FINITE) {
        memset(y, 0, (size_t)count);
        return;
    }
    float inverse = float_of((254u - code) << 23);
    for (long i = 0; i < count; i++) y[i] = (int8_t)(int)nearest(x[i] * inverse);
}

static void block_from_int8(float *y, const int8_t *x, uint32_t code, long count) {
    // Codes from outside: whatever no sender makes is not finite.
    float scale = float_of(code > LARGEST_CODE ? 0x7fc00000u : code << 23);
    for (long i = 0; i < count; i++) y[i] = (float)x[i] * scale;
}

static inline long block_end(long first, long end) {
    long next = (first / DK_WIRE_BLOCK + 1) * DK_WIRE_BLOCK;
    return next < end ? next : end;
}

long dk_wire_to_int8(int8_t *y, uint8_t *codes, const float *x, long first, long count) {
    uint64_t found = dk_floats_enter();
    long blocks = 0, end = first + count;
    for (long i = first, next; i < end; i = next) {
        next = block_end(i, end);
        uint32_t code = block_code(x + (i - first), next - i);
        codes[blocks++] = (uint8_t)code;
        block_to_int8(y + (i - first), code, x + (i - first), next - i);
    }
    dk_floats_leave(found);
    return blocks;
}

long dk_wire_from_int8(float *y, const int8_t *x, const uint8_t *codes, long first, long count) {
    uint64_t found = dk_floats_enter();
    long blocks = 0, end = first + count;
    for (long i = first, next; i < end; i = next) {
        next = block_end(i, end);
        block_from_int8(y + (i - first), x + (i - first), codes[blocks++], next - i);
    }
    dk_floats_leave(found);
    return blocks;
}

void dk_wire_round_int8(float *x, long first, long count) {
    uint64_t found = dk_floats_enter();
    int8_t integers[DK_WIRE_BLOCK];
    long end = first + count;
    for (long i = first, next; i < end; i = next) {
        next = block_end(i, end);
        float *block = x + (i - first);
        uint32_t code = block_code(block, next - i);
        block_to_int8(integers, code, block, next - i);
        block_from_int8(block, integers, code, next - i);
    }
    dk_floats_leave(found);
}

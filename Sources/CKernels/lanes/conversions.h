// conversions.h: bf16 (the upper half of an fp32) and IEEE half precision to and from fp32. N numbers.
#pragma once
#include "lanes.h"

typedef uint16_t h16 __attribute__((vector_size(32)));

// min(n, 16) halves; zeros behind them. A length that the compiler knows is one instruction, any other a call.
INLINE u16 load_halves(const uint16_t *p, long n) {
    h16 x = {0};
    if (n >= LANES) memcpy(&x, p, sizeof x);
    else memcpy(&x, p, (size_t)n * sizeof(uint16_t));
    return __builtin_convertvector(x, u16);
}

INLINE void store_halves(uint16_t *p, h16 x, long n) {
    if (n >= LANES) memcpy(p, &x, sizeof x);
    else memcpy(p, &x, (size_t)n * sizeof(uint16_t));
}

static void convert_widen_bf16(float *y, const uint16_t *x, long count) {
    for (long i = 0; i < count; i += LANES) store_some(y + i, (v16)(load_halves(x + i, count - i) << 16), count - i);
}

// Exponent and fraction move 13 bits up and are scaled by 2^112, which also makes subnormals right; an exponent of 31
// (infinity, NaN) gets the rest of fp32's range.
static void convert_widen_f16(float *y, const uint16_t *x, long count) {
    for (long i = 0; i < count; i += LANES) {
        u16 bits = load_halves(x + i, count - i), magnitude = (bits & 0x7fff) << 13;
        i16 infinite = magnitude >= 31u << 23;
        i16 small = magnitude < 1u << 23;
        // A subnormal half n * 2^-24 comes from the integer n, because its fp32 pattern would be flushed to zero.
        v16 tiny = __builtin_convertvector((i16)(bits & 0x3ff), v16) * splat(0x1p-24f);
        v16 normal = (v16)(magnitude + (112u << 23));
        v16 value = choose(small, tiny, choose(infinite, (v16)(magnitude + (224u << 23)), normal));
        store_some(y + i, (v16)((u16)value | (bits & 0x8000) << 16), count - i);
    }
}

// Rounded to bf16 and still fp32: to nearest, ties to even; a NaN keeps its sign and stays one.
INLINE v16 round16(v16 x) {
    u16 bits = (u16)x;
    u16 rounded = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
    i16 nan = (i16)(bits & 0x7fffffff) > 0x7f800000;
    return (v16)(((u16)nan & ((bits & 0xffff0000u) | 0x400000)) | (~(u16)nan & rounded));
}

INLINE h16 narrow16(v16 x) { return __builtin_convertvector((u16)round16(x) >> 16, h16); }

static void convert_narrow_bf16(uint16_t *y, const float *x, long count) {
    for (long i = 0; i < count; i += LANES) {
        store_halves(y + i, narrow16(load_some(x + i, count - i)), count - i);
    }
}

// y may be x.
static void convert_round_bf16(float *y, const float *x, long count) {
    for (long i = 0; i < count; i += LANES) store_some(y + i, round16(load_some(x + i, count - i)), count - i);
}

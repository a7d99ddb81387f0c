// lanes.h: sixteen floats at a time, with the same bits on every machine.
//
// Every fast kernel is written once, over vectors of exactly 16 floats, and compiled three times: for AVX-512 (one
// register a vector), for AVX2 (two) and for the machine's baseline (NEON: four; else emulated). Lane i of a sum takes
// the elements i, i+16, i+32 …, and lanes are added by one fixed tree, so the width of the machine's registers cannot
// change a bit. A fused multiply-add is one because fused() says so; the compiler may make or break none
// (-ffp-contract=off).
//
// Everything here is static: the file is included once by each of lanes_avx512.c, lanes_avx2.c and lanes_portable.c.
#pragma once
#include "../include/ckernels.h"
#include <math.h>
#include <string.h>

// Vectors wider than the target's registers are passed between these functions, all of which are static: no other
// file's calling convention is concerned.
#pragma clang diagnostic ignored "-Wpsabi"

#define LANES 16
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

typedef float v16 __attribute__((vector_size(64)));
typedef float v16_unaligned __attribute__((vector_size(64), aligned(4)));
typedef int32_t i16 __attribute__((vector_size(64)));
typedef uint32_t u16 __attribute__((vector_size(64)));
typedef float v8 __attribute__((vector_size(32)));
typedef float v4 __attribute__((vector_size(16)));
typedef double d16 __attribute__((vector_size(128)));

INLINE v16 load(const float *p) { return *(const v16_unaligned *)p; }
INLINE void store(float *p, v16 x) { *(v16_unaligned *)p = x; }

// The first n < 16 floats; zeros behind them.
static inline v16 load_part(const float *p, long n) {
    v16 x = {0};
    memcpy(&x, p, (size_t)n * sizeof(float));
    return x;
}

static inline void store_part(float *p, v16 x, long n) { memcpy(p, &x, (size_t)n * sizeof(float)); }

// load and store of min(n, 16) floats.
INLINE v16 load_some(const float *p, long n) { return n >= LANES ? load(p) : load_part(p, n); }
INLINE void store_some(float *p, v16 x, long n) {
    if (n >= LANES) store(p, x);
    else store_part(p, x, n);
}

INLINE v16 splat(float x) { return (v16){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
INLINE u16 splat_bits(uint32_t x) { return (u16){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
INLINE v16 fused(v16 a, v16 b, v16 c) { return __builtin_elementwise_fma(a, b, c); }

// a where the mask is all ones, b where it is zero.
INLINE v16 choose(i16 mask, v16 a, v16 b) { return (v16)((mask & (i16)a) | (~mask & (i16)b)); }
// In both a NaN in b wins, so that passing the running value as a keeps nothing hidden.
INLINE v16 larger(v16 a, v16 b) { return choose(a > b, a, b); }
INLINE v16 smaller(v16 a, v16 b) { return choose(a < b, a, b); }

// The one order in which lanes are added: i with i+8, then i+4, i+2, i+1.
INLINE float sum_lanes(v16 x) {
    v8 low = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7);
    v8 a = low + __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
    v4 b = __builtin_shufflevector(a, a, 0, 1, 2, 3) + __builtin_shufflevector(a, a, 4, 5, 6, 7);
    return (b[0] + b[2]) + (b[1] + b[3]);
}

INLINE float largest_lane(v16 x) {
    x = larger(x, __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    x = larger(x, __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
    v4 top = __builtin_shufflevector(x, x, 0, 1, 2, 3);
    float a = top[0] > top[2] ? top[0] : top[2], b = top[1] > top[3] ? top[1] : top[3];
    return a > b ? a : b;
}

// exp, to 1 unit in the last place. Cody & Waite 1980, "Software manual for the elementary functions", ch. 6:
//   x = n ln 2 + r, |r| <= ln(2)/2;   exp(x) = 2^n (1 + r + r² q(r)), q of degree 4, minimax in relative error (3e-9).
// NaN stays NaN, +inf and all above 88.72 become +inf, -inf and all below the normal range become 0 (flushed).
INLINE v16 exp16(v16 x) {
    const float shift = 0x1.8p23f;  // adding it rounds to an integer, held in the low bits
    x = smaller(splat(89.0f), larger(splat(-104.0f), x));
    v16 shifted = fused(x, splat(0x1.715476p+0f), splat(shift));
    v16 n = shifted - splat(shift);
    v16 r = fused(n, splat(-0x1.62ep-1f), x);
    r = fused(n, splat(-0x1.0bfbe8p-15f), r);
    v16 y = fused(splat(0x1.6a23cep-10f), r, splat(0x1.123a2p-7f));
    y = fused(y, r, splat(0x1.5558f2p-5f));
    y = fused(y, r, splat(0x1.555492p-3f));
    y = fused(y, r, splat(0x1.fffffcp-2f));
    y = fused(y, r, splat(1));
    y = fused(y, r, splat(1));
    // 2^n in two halves, because 2^128 and 2^-127 are no normal floats.
    i16 power = (i16)shifted - (i16)splat(shift), half = power >> 1;
    v16 low = (v16)((half + 127) << 23), high = (v16)((power - half + 127) << 23);
    return y * low * high;
}

// 1 / (1 + exp(-x)).
INLINE v16 sigmoid16(v16 x) { return splat(1) / (splat(1) + exp16(-x)); }

// Natural logarithm in fp64, to 2 units in the last place: x = 2^e m with m in [sqrt(1/2), sqrt(2)),
// log m = 2 artanh(s), s = (m - 1)/(m + 1), |s| < 0.172, by its series.
static inline double natural_log(double x) {
    if (!(x > 0) || x == (double)INFINITY) return x == 0 ? -(double)INFINITY : x < 0 ? (double)NAN : x;
    uint64_t bits;
    memcpy(&bits, &x, 8);
    uint64_t offset = bits - 0x3fe6a09e667f3bcdu;  // bits of sqrt(1/2)
    int64_t e = (int64_t)offset >> 52;
    bits = (offset & 0xfffffffffffffu) + 0x3fe6a09e667f3bcdu;
    double m;
    memcpy(&m, &bits, 8);
    double s = (m - 1) / (m + 1), z = s * s, sum = 0;
    for (int power = 21; power >= 3; power -= 2) sum = (sum + 1.0 / power) * z;
    return 2 * s * (1 + sum) + (double)e * 0x1.62e42fefa39efp-1;
}

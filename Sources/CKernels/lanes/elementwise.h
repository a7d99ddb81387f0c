// elementwise.h: ops in which every element stands alone, so that any sub-range gives the same bits. N numbers.
//   swiglu: y = silu(gate) * up,  silu(g) = g s,  s = 1 / (1 + exp(-g)),  silu'(g) = s + g s (1 - s)
//   gelu (tanh form): y = x s,  s = 1 / (1 + exp(-2u)),  u = sqrt(2/pi) (x + 0.044715 x³);  1 + tanh u = 2s
//   gelu' = s + x s (1 - s) 2u',  u' = sqrt(2/pi) (1 + 3 * 0.044715 x²)
// Shazeer 2020, arXiv:2002.05202, §2; Hendrycks & Gimpel 2016, arXiv:1606.08415, §2.
#pragma once
#include "lanes.h"

static void ew_swiglu(float *y, const float *gate, const float *up, long count) {
    for (long i = 0; i < count; i += LANES) {
        v16 g = load_some(gate + i, count - i), u = load_some(up + i, count - i);
        store_some(y + i, g * sigmoid16(g) * u, count - i);
    }
}

static void ew_swiglu_backward(float *dgate, float *dup, const float *dy, const float *gate, const float *up,
                               long count) {
    for (long i = 0; i < count; i += LANES) {
        v16 g = load_some(gate + i, count - i), u = load_some(up + i, count - i), d = load_some(dy + i, count - i);
        v16 s = sigmoid16(g), silu = g * s;
        store_some(dup + i, d * silu, count - i);
        store_some(dgate + i, d * u * fused(silu, splat(1) - s, s), count - i);
    }
}

#define GELU_TWO_U 0x1.988454p+0f   // 2 sqrt(2/pi)
#define GELU_CUBE 0x1.6e4e26p-5f    // 0.044715
#define GELU_CUBE_3 0x1.12ba9ep-3f  // 3 * 0.044715

INLINE v16 gelu_gate(v16 x, v16 square) {
    return sigmoid16(x * splat(GELU_TWO_U) * fused(square, splat(GELU_CUBE), splat(1)));
}

static void ew_gelu(float *y, const float *x, long count) {
    for (long i = 0; i < count; i += LANES) {
        v16 a = load_some(x + i, count - i);
        store_some(y + i, a * gelu_gate(a, a * a), count - i);
    }
}

static void ew_gelu_backward(float *dx, const float *dy, const float *x, long count) {
    for (long i = 0; i < count; i += LANES) {
        v16 a = load_some(x + i, count - i), square = a * a, s = gelu_gate(a, square);
        v16 slope = splat(GELU_TWO_U) * fused(square, splat(GELU_CUBE_3), splat(1));
        v16 rest = a * s * (splat(1) - s);
        store_some(dx + i, load_some(dy + i, count - i) * fused(rest, slope, s), count - i);
    }
}

static void ew_add(float *y, const float *x, long count) {
    for (long i = 0; i < count; i += LANES) {
        long n = count - i;
        store_some(y + i, load_some(y + i, n) + load_some(x + i, n), n);
    }
}

static void ew_scale(float *y, float factor, long count) {
    for (long i = 0; i < count; i += LANES) store_some(y + i, load_some(y + i, count - i) * splat(factor), count - i);
}

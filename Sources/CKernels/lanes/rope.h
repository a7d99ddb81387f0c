// rope.h: rotary position embedding in place. Su et al. 2021, arXiv:2104.09864, §3.4.2.
// x: (T, H, hd), of which the first `rotary` dimensions turn.  cosines, sines: (positions, rotary / 2).
//   (a, b) -> (a cos - b sin, b cos + a sin), for the pair i: (2i, 2i+1) interleaved, (i, i + rotary/2) else.
#pragma once
#include "lanes.h"

INLINE void rope_halves(float *head, const float *c, const float *s, long half, v16 sign) {
    for (long i = 0; i < half; i += LANES) {
        long n = half - i;
        v16 a = load_some(head + i, n), b = load_some(head + half + i, n);
        v16 cosine = load_some(c + i, n), sine = load_some(s + i, n) * sign;
        store_some(head + i, fused(a, cosine, -(b * sine)), n);
        store_some(head + half + i, fused(b, cosine, a * sine), n);
    }
}

INLINE void rope_pairs(float *head, const float *c, const float *s, long half, float sign) {
    for (long i = 0; i < half; i++) {
        float a = head[2 * i], b = head[2 * i + 1], sine = s[i] * sign;
        head[2 * i] = fmaf(a, c[i], -(b * sine));
        head[2 * i + 1] = fmaf(b, c[i], a * sine);
    }
}

static void rope_rows(float *x, const int32_t *positions, const float *cosines, const float *sines, long rows,
                      long step, long heads, long head_width, long rotary, int interleaved, int inverse) {
    long half = rotary / 2;
    float sign = inverse ? -1 : 1;
    for (long t = 0; t < rows; t++) {
        const float *c = cosines + positions[t] * half, *s = sines + positions[t] * half;
        for (long h = 0; h < heads; h++) {
            float *head = x + t * step + h * head_width;
            if (interleaved) rope_pairs(head, c, s, half, sign);
            else rope_halves(head, c, s, half, splat(sign));
        }
    }
}

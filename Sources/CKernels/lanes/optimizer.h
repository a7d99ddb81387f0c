// optimizer.h: AdamW in one pass over memory, together with the digest of what it wrote. Loshchilov & Hutter 2019,
// arXiv:1711.05101, algorithm 2, arithmetic as PyTorch's. The digest's construction: reference/adamw_reference.c.
// p, m, v, g: one block of N <= DK_STATE_BLOCK elements of the flat vectors.
#pragma once
#include "lanes.h"

struct digest_lanes {
    u16 p, m, v;
};

INLINE u16 digest_step(u16 lane, v16 x) { return ((lane << 5 | lane >> 27) ^ (u16)x) * splat_bits(0x9e3779b1u); }

INLINE void digest_chunk(struct digest_lanes *lanes, v16 p, v16 m, v16 v) {
    lanes->p = digest_step(lanes->p, p);
    lanes->m = digest_step(lanes->m, m);
    lanes->v = digest_step(lanes->v, v);
}

static uint64_t digest_fold(const struct digest_lanes *lanes) {
    uint64_t digest = 0;
    for (int i = 0; i < LANES; i++) {
        digest = dk_digest_fold(digest, lanes->p[i]);
        digest = dk_digest_fold(digest, lanes->m[i]);
        digest = dk_digest_fold(digest, lanes->v[i]);
    }
    return digest;
}

// The lanes of the last, partial chunk of a block: only the first n move.
static void digest_tail(struct digest_lanes *lanes, const float *p, const float *m, const float *v, long n) {
    struct digest_lanes next = *lanes;
    digest_chunk(&next, load_part(p, n), load_part(m, n), load_part(v, n));
    memcpy(&lanes->p, &next.p, (size_t)n * 4);
    memcpy(&lanes->m, &next.m, (size_t)n * 4);
    memcpy(&lanes->v, &next.v, (size_t)n * 4);
}

static uint64_t optimizer_digest(const float *p, const float *m, const float *v, long count) {
    struct digest_lanes lanes = {{0}, {0}, {0}};
    long i = 0;
    for (; i + LANES <= count; i += LANES) digest_chunk(&lanes, load(p + i), load(m + i), load(v + i));
    if (i < count) digest_tail(&lanes, p + i, m + i, v + i, count - i);
    return digest_fold(&lanes);
}

INLINE void adamw_chunk(v16 *p, v16 *m, v16 *v, v16 g, const struct dk_adamw *s, v16 keep) {
    v16 gradient = g * splat(s->scale);
    *m = fused(splat(s->rest1), gradient, splat(s->beta1) * *m);
    *v = fused(splat(s->rest2) * gradient, gradient, splat(s->beta2) * *v);
    v16 divisor = fused(__builtin_elementwise_sqrt(*v), splat(s->root), splat(s->epsilon));
    *p = fused(*p, keep, -(splat(s->rate) * *m / divisor));
}

// Updates the block and returns its digest; p is multiplied by step->keep where `decay` is set.
static uint64_t optimizer_adamw(float *p, float *m, float *v, const float *g, long count, const struct dk_adamw *step,
                                int decay) {
    struct digest_lanes lanes = {{0}, {0}, {0}};
    v16 keep = splat(decay ? step->keep : 1);
    for (long i = 0; i < count; i += LANES) {
        long n = count - i;
        v16 a = load_some(p + i, n), b = load_some(m + i, n), c = load_some(v + i, n);
        adamw_chunk(&a, &b, &c, load_some(g + i, n), step, keep);
        store_some(p + i, a, n);
        store_some(m + i, b, n);
        store_some(v + i, c, n);
        if (n >= LANES) digest_chunk(&lanes, a, b, c);
        else digest_tail(&lanes, p + i, m + i, v + i, n);
    }
    return digest_fold(&lanes);
}

// Sum of squares in fp64; a product of two floats is exact there, so only the order of additions counts: 16 lanes, then
// a tree.
static double optimizer_squares(const float *g, long count) {
    d16 sums = {0};
    for (long i = 0; i < count; i += LANES) {
        d16 x = __builtin_convertvector(load_some(g + i, count - i), d16);
        sums = __builtin_elementwise_fma(x, x, sums);
    }
    for (int step = LANES / 2; step > 0; step /= 2) {
        for (int i = 0; i < step; i++) sums[i] += sums[i + step];
    }
    return sums[0];
}

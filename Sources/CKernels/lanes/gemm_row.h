// gemm_row.h: the product of a single row, as in generation: B is read once, nothing is packed. The arithmetic of an
// element is the rule of gemm.h, so that the bits are those of the same row among others.
#pragma once
#include "gemm.h"

// c after the run's sums s: the first run starts from nothing, the old contents, the bias, or their sum.
INLINE v16 row_add(v16 c, v16 s, const struct dk_gemm *g, long k0, const float *old, const float *bias, long n) {
    if (k0 > 0) return c + s;
    if (!g->accumulate && !bias) return s;
    v16 first = g->accumulate ? load_some(old, n) : (v16){0};
    if (bias) first = first + load_some(bias, n);
    return first + s;
}

// Sums over one run of k for 16 columns (n of them there) of B stored [columns, k].
INLINE v16 row_sum_transposed(const float *a, const float *b, long ldb, long k, long n) {
    const v8 one = {1, 1, 1, 1, 1, 1, 1, 1};
    _Alignas(64) float block[8 * LANES];
    v16 s = {0};
    long at = 0;
    if (n == LANES) {
        for (; at + 8 <= k; at += 8) {
            transpose8(block, b + at, ldb, one);
            transpose8(block + 8, b + 8 * ldb + at, ldb, one);
            UNROLL for (int i = 0; i < 8; i++) s = fused(splat(a[at + i]), *(const v16 *)(block + i * LANES), s);
        }
    }
    for (; at < k; at++) {
        for (long i = 0; i < LANES; i++) block[i] = i < n ? b[i * ldb + at] : 0;
        s = fused(splat(a[at]), *(const v16 *)block, s);
    }
    return s;
}

static void row_transposed(const struct dk_gemm *g, const float *a, float *c, long column0, long column1) {
    for (long j = column0; j < column1; j += LANES) {
        long n = column1 - j < LANES ? column1 - j : LANES;
        v16 sum = {0};
        for (long k0 = 0; k0 < g->k; k0 += K_RUN) {
            long k = g->k - k0 < K_RUN ? g->k - k0 : K_RUN;
            v16 s = row_sum_transposed(a + k0, g->b + j * g->ldb + k0, g->ldb, k, n);
            sum = row_add(sum, s, g, k0, c + j, g->bias ? g->bias + j : NULL, n);
        }
        store_some(c + j, sum, n);
    }
}

// B stored [k, columns]: rows of B are read one after another, the sums of a run wait in s.
static void row_straight(const struct dk_gemm *g, const float *a, float *c, long column0, long column1) {
    long columns = column1 - column0;
    float *s = dk_scratch(sizeof(float) * (size_t)(columns + LANES));
    for (long k0 = 0; k0 < g->k; k0 += K_RUN) {
        long end = g->k - k0 < K_RUN ? g->k : k0 + K_RUN;
        memset(s, 0, sizeof(float) * (size_t)(columns + LANES));
        for (long at = k0; at < end; at += 4) {
            const float *b = g->b + at * g->ldb + column0;
            for (long j = 0; j < columns; j += LANES) {
                v16 sum = load(s + j);
                for (long i = 0; i < 4 && at + i < end; i++) {
                    sum = fused(splat(a[at + i]), load_some(b + i * g->ldb + j, columns - j), sum);
                }
                store(s + j, sum);
            }
        }
        for (long j = 0; j < columns; j += LANES) {
            long n = columns - j < LANES ? columns - j : LANES;
            const float *bias = g->bias ? g->bias + column0 + j : NULL;
            v16 old = k0 > 0 ? load_some(c + column0 + j, n) : (v16){0};
            store_some(c + column0 + j, row_add(old, load(s + j), g, k0, c + column0 + j, bias, n), n);
        }
    }
}

// Row `row` and columns column0 ..< column1 of C, over all of K; A is not stored transposed.
static void gemm_row(const struct dk_gemm *g, long row, long column0, long column1) {
    const float *a = g->a + row * g->lda;
    float *c = g->c + row * g->ldc;
    if (g->b_transposed) row_transposed(g, a, c, column0, column1);
    else row_straight(g, a, c, column0, column1);
}

// As gemm_block, whatever the number of rows.
static void gemm_task(const struct dk_gemm *g, const float *packed, long row0, long row1, long column0, long column1) {
    if (row1 - row0 == 1 && !packed && !g->a_transposed) gemm_row(g, row0, column0, column1);
    else gemm_block(g, packed, row0, row1, column0, column1);
}

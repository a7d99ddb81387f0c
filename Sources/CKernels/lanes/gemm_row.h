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

// One run of n rows of B stored [columns, k], rounded to bf16 or stored so, as fp32 rows K_RUN apart.
static void row_operands(float *out, const struct dk_gemm *g, long j, long n, long k0, long k) {
    for (long i = 0; i < n; i++) {
        long at = (j + i) * g->ldb + k0;
        if (g->b_bf16) convert_widen_bf16(out + i * K_RUN, g->b_bf16 + at, k);
        else convert_round_bf16(out + i * K_RUN, g->b + at, k);
    }
}

static void row_transposed(const struct dk_gemm *g, const float *a, float *c, long column0, long column1) {
    _Alignas(64) float rows[LANES * K_RUN];
    int plain = !g->b_bf16 && !g->rounded;
    for (long j = column0; j < column1; j += LANES) {
        long n = column1 - j < LANES ? column1 - j : LANES;
        v16 sum = {0};
        for (long k0 = 0; k0 < g->k; k0 += K_RUN) {
            long k = g->k - k0 < K_RUN ? g->k - k0 : K_RUN;
            if (!plain) row_operands(rows, g, j, n, k0, k);
            v16 s = plain ? row_sum_transposed(a + k0, g->b + j * g->ldb + k0, g->ldb, k, n)
                          : row_sum_transposed(a + k0, rows, K_RUN, k, n);
            sum = row_add(sum, s, g, k0, c + j, g->bias ? g->bias + j : NULL, n);
        }
        store_some(c + j, sum, n);
    }
}

enum row_kind { ROW_PLAIN, ROW_ROUNDED, ROW_BF16 };

// n of 16 elements of B from `at` on.
INLINE v16 row_load(const struct dk_gemm *g, const enum row_kind kind, long at, long n) {
    if (kind == ROW_BF16) return (v16)(load_halves(g->b_bf16 + at, n) << 16);
    v16 x = load_some(g->b + at, n);
    return kind == ROW_ROUNDED ? round16(x) : x;
}

// B stored [k, columns]: rows of B are read one after another, the sums of a run wait in s.
INLINE void row_straight(const struct dk_gemm *g, const enum row_kind kind, const float *a, float *s, float *c,
                         long column0, long column1) {
    long columns = column1 - column0;
    for (long k0 = 0; k0 < g->k; k0 += K_RUN) {
        long end = g->k - k0 < K_RUN ? g->k : k0 + K_RUN;
        memset(s, 0, sizeof(float) * (size_t)(columns + LANES));
        for (long at = k0; at < end; at += 4) {
            long b = at * g->ldb + column0;
            for (long j = 0; j < columns; j += LANES) {
                v16 sum = load(s + j);
                for (long i = 0; i < 4 && at + i < end; i++) {
                    sum = fused(splat(a[at + i]), row_load(g, kind, b + i * g->ldb + j, columns - j), sum);
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
    float *s = dk_scratch(sizeof(float) * (size_t)(g->k + column1 - column0 + 2 * LANES));
    if (g->rounded) {
        float *own = s + (column1 - column0 + 2 * LANES - 1) / LANES * LANES;
        convert_round_bf16(own, a, g->k);
        a = own;
    }
    if (g->b_transposed) row_transposed(g, a, c, column0, column1);
    else if (g->b_bf16) row_straight(g, ROW_BF16, a, s, c, column0, column1);
    else if (g->rounded) row_straight(g, ROW_ROUNDED, a, s, c, column0, column1);
    else row_straight(g, ROW_PLAIN, a, s, c, column0, column1);
}

// As gemm_block, whatever the number of rows.
static void gemm_task(const struct dk_gemm *g, const float *packed, long row0, long row1, long column0, long column1) {
    if (row1 - row0 == 1 && !packed && !g->a_transposed) gemm_row(g, row0, column0, column1);
    else gemm_block(g, packed, row0, row1, column0, column1);
}

// gemm.h: the fp32 matrix product. Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication", ACM
// TOMS 34(3), §4, without its second level of blocking: C[M,N] (+)= A[M,K] · B[K,N].
//
// The arithmetic of one element of C is a rule by itself, whatever surrounds it and whichever block it lies in:
//   c = c0;  for each run of DK_GEMM_K = 256 consecutive k:  s = 0;  for k in run: s = fma(a[k], b[k], s);  c = c + s
// with c0 = the old c, the bias, or nothing (c = s for the first run). So cuts, threads, row counts and register widths
// cannot change a bit, and a row computed alone equals the same row computed among others. Operands that are to be
// rounded to bf16 are so as they are packed; the rule is the same.
//
// B is packed in panels of 16 columns: panel[k][16], zeros beyond N. A is packed per block of rows, either row by row
// (a[row][256]) or, when A is stored transposed, in strips of 12 rows (a[k][12]).
#pragma once
#include "conversions.h"

#define K_RUN DK_GEMM_K
#define STRIP 12         // rows of a strip of transposed A; a multiple of both tile heights
#if LANES_WIDE
#define TILE_ROWS 12     // 12 x 32 accumulators: 24 of 32 registers of 16 floats
#define TILE_PANELS 2
#else
#define TILE_ROWS 6      // 6 x 16: 12 of 16 registers of 8 floats, or 24 of 32 of 4
#define TILE_PANELS 1
#endif

// s[i][p] = sum over k of a[i*row_step + k*k_step] * panel p of b, in order of k.
INLINE void tile_sum(v16 s[TILE_ROWS][TILE_PANELS], const int panels, long k, const float *restrict a,
                     const long row_step, const long k_step, const float *restrict b, long panel_step) {
    UNROLL for (int i = 0; i < TILE_ROWS; i++) {
        UNROLL for (int p = 0; p < panels; p++) s[i][p] = (v16){0};
    }
    _Pragma("clang loop unroll_count(4)") for (long at = 0; at < k; at++) {
        v16 column[TILE_PANELS];
        UNROLL for (int p = 0; p < panels; p++) column[p] = *(const v16 *)(b + p * panel_step + at * LANES);
        UNROLL for (int i = 0; i < TILE_ROWS; i++) {
            v16 value = splat(a[i * row_step + at * k_step]);
            UNROLL for (int p = 0; p < panels; p++) s[i][p] = fused(value, column[p], s[i][p]);
        }
    }
}

// What a tile's sums are added to: nothing, the old contents, the bias, or their sum.
enum tile_start { START_NONE = 0, START_OLD = 1, START_BIAS = 2 };

// c (+)= s for a whole tile.
INLINE void tile_store(float *c, long ldc, v16 s[TILE_ROWS][TILE_PANELS], const int panels, int start,
                       const float *bias) {
    UNROLL for (int i = 0; i < TILE_ROWS; i++) {
        UNROLL for (int p = 0; p < panels; p++) {
            float *at = c + i * ldc + p * LANES;
            if (start == START_NONE) {
                store(at, s[i][p]);
            } else {
                v16 first = start & START_OLD ? load(at) : (v16){0};
                if (start & START_BIAS) first = first + load(bias + p * LANES);
                store(at, first + s[i][p]);
            }
        }
    }
}

// The same for the valid part of a tile, `rows` x `columns`.
static void tile_store_part(float *c, long ldc, const v16 s[TILE_ROWS][TILE_PANELS], int start, const float *bias,
                            long rows, long columns) {
    for (int i = 0; i < TILE_ROWS && i < rows; i++) {
        for (int p = 0; p < TILE_PANELS && p * LANES < columns; p++) {
            long n = columns - p * LANES;
            float *at = c + i * ldc + p * LANES;
            v16 first = start & START_OLD ? load_some(at, n) : (v16){0};
            if (start & START_BIAS) first = first + load_some(bias + p * LANES, n);
            store_some(at, start == START_NONE ? s[i][p] : first + s[i][p], n);
        }
    }
}

// A whole tile as a function of its own: with few values alive the compiler keeps all sums in registers.
#define SEPARATE static __attribute__((noinline))
#define WHOLE_TILE(name, row_step, k_step)                                                                             \
    SEPARATE void name(float *c, long ldc, const float *a, const float *b, long panel_step, long k, int start,         \
                       const float *bias) {                                                                            \
        v16 s[TILE_ROWS][TILE_PANELS];                                                                                 \
        tile_sum(s, TILE_PANELS, k, a, row_step, k_step, b, panel_step);                                               \
        if (start == START_OLD) tile_store(c, ldc, s, TILE_PANELS, START_OLD, NULL);                                   \
        else tile_store(c, ldc, s, TILE_PANELS, start, bias);                                                          \
    }
WHOLE_TILE(tile_of_rows, K_RUN, 1)
WHOLE_TILE(tile_of_strip, 1, STRIP)

// A tile on the right or lower edge of C, from A of either shape.
SEPARATE void tile_on_edge(float *c, long ldc, const float *a, long row_step, long k_step, const float *b,
                           long panel_step, long k, int start, const float *bias, long rows, long columns) {
    v16 s[TILE_ROWS][TILE_PANELS];
    if (TILE_PANELS == 1 || columns > LANES) tile_sum(s, TILE_PANELS, k, a, row_step, k_step, b, panel_step);
    else tile_sum(s, 1, k, a, row_step, k_step, b, panel_step);
    tile_store_part(c, ldc, s, start, bias, rows, columns);
}

// A share of the next panels is called into the second-level cache beside each tile of a full block of rows.
#define NEXT_LINES (TILE_PANELS * K_RUN * TILE_ROWS / DK_GEMM_ROWS)

INLINE void prefetch_panel(const float *share) {
    UNROLL for (int line = 0; line < NEXT_LINES; line++) __builtin_prefetch(share + line * 16, 0, 2);
}

// One run of k for a block of C: rows x columns. A is packed in rows or in strips; panels of B lie k * 16 floats apart.
static void block_product(float *c, long ldc, const float *a, int strips, const float *b, long k, long rows,
                          long columns, int start, const float *bias) {
    long panel_step = k * LANES;
    for (long j = 0; j < columns; j += TILE_PANELS * LANES) {
        const float *panels = b + j * k, *next = panels + TILE_PANELS * panel_step;
        for (long i = 0; i < rows; i += TILE_ROWS, next += NEXT_LINES * LANES) {
            const float *from = strips ? a + i / STRIP * STRIP * k + i % STRIP : a + i * K_RUN;
            float *at = c + i * ldc + j;
            prefetch_panel(next);
            if (rows - i < TILE_ROWS || columns - j < TILE_PANELS * LANES) {
                tile_on_edge(at, ldc, from, strips ? 1 : K_RUN, strips ? STRIP : 1, panels, panel_step, k, start,
                             bias + j, rows - i, columns - j);
            } else if (strips) {
                tile_of_strip(at, ldc, from, panels, panel_step, k, start, bias + j);
            } else {
                tile_of_rows(at, ldc, from, panels, panel_step, k, start, bias + j);
            }
        }
    }
}

// out = the transpose of 8 rows of 8 words of 32 bits, which lie `step` bytes apart; no bit changes.
INLINE void transpose_words(v8 out[8], const char *restrict rows, long step) {
    v8 x[8], y[8];
    UNROLL for (int i = 0; i < 4; i++) {
        UNROLL for (int half = 0; half < 2; half++) {
            v4 low, high;
            memcpy(&low, rows + i * step + 16 * half, sizeof low);
            memcpy(&high, rows + (i + 4) * step + 16 * half, sizeof high);
            x[i + 4 * half] = __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
        }
    }
    UNROLL for (int i = 0; i < 8; i += 2) {
        y[i] = __builtin_shufflevector(x[i], x[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        y[i + 1] = __builtin_shufflevector(x[i], x[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    UNROLL for (int i = 0; i < 8; i += 4) {
        UNROLL for (int j = 0; j < 2; j++) {
            out[i + 2 * j] = __builtin_shufflevector(y[i + j], y[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            out[i + 2 * j + 1] = __builtin_shufflevector(y[i + j], y[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    }
}

// out[k][16] at columns 0 ... 7 = the transpose of 8 rows of 8 floats, times `factor`.
INLINE void transpose8(float *restrict out, const float *restrict rows, long step, v8 factor) {
    v8 y[8];
    transpose_words(y, (const char *)rows, step * (long)sizeof(float));
    UNROLL for (int i = 0; i < 8; i++) {
        v8 a = y[i] * factor;
        memcpy(out + i * LANES, &a, sizeof a);
    }
}

// One panel[k][16] from b[n][k] (rows of b are columns of the panel), n <= 16, times `factor`.
static void pack_panel_transposed(float *restrict panel, const float *restrict b, long ldb, long k, long n,
                                  float factor) {
    v8 times = {factor, factor, factor, factor, factor, factor, factor, factor};
    long at = 0;
    if (n == LANES) {
        for (; at + 8 <= k; at += 8) {
            transpose8(panel + at * LANES, b + at, ldb, times);
            transpose8(panel + at * LANES + 8, b + 8 * ldb + at, ldb, times);
        }
    }
    for (; at < k; at++) {
        for (long i = 0; i < LANES; i++) panel[at * LANES + i] = i < n ? b[i * ldb + at] * factor : 0;
    }
}

// One panel[k][16] from b[k][n], n <= 16, times `factor`.
static void pack_panel(float *restrict panel, const float *restrict b, long ldb, long k, long n, float factor) {
    for (long at = 0; at < k; at++) *(v16 *)(panel + at * LANES) = load_some(b + at * ldb, n) * splat(factor);
}

// Rows row0 ..< row0+rows and k0 ..< k0+k of A, row by row, K_RUN apart; rows up to a multiple of the tile are zeroed.
static void pack_rows(float *restrict out, const float *restrict a, long lda, long rows, long k, int rounded) {
    for (long i = 0; i < rows; i++) {
        if (rounded) convert_round_bf16(out + i * K_RUN, a + i * lda, k);
        else memcpy(out + i * K_RUN, a + i * lda, (size_t)k * sizeof(float));
    }
    for (long i = rows; i % TILE_ROWS; i++) memset(out + i * K_RUN, 0, (size_t)k * sizeof(float));
}

// The same from A stored transposed, a[k][rows], in strips out[k][STRIP].
static void pack_strips(float *restrict out, const float *restrict a, long lda, long rows, long k) {
    for (long i = 0; i < rows; i += STRIP) {
        float *strip = out + i * k;
        long n = rows - i < STRIP ? rows - i : STRIP;
        for (long at = 0; at < k; at++) {
            const float *from = a + at * lda + i;
            if (n == STRIP) {
                memcpy(strip + at * STRIP, from, STRIP * sizeof(float));
            } else {
                for (long r = 0; r < STRIP; r++) strip[at * STRIP + r] = r < n ? from[r] : 0;
            }
        }
    }
}

// One panel[k][16] of B stored as bf16: rows k0 ..< k0+k, columns j ..< j+n.
static void pack_panel_bf16(float *restrict panel, const struct dk_gemm *g, long k0, long k, long j, long n) {
    if (!g->b_transposed) {
        for (long at = 0; at < k; at++) {
            *(v16 *)(panel + at * LANES) = (v16)(load_halves(g->b_bf16 + (k0 + at) * g->ldb + j, n) << 16);
        }
        return;
    }
    _Alignas(64) float rows[LANES * K_RUN];
    for (long i = 0; i < n; i++) convert_widen_bf16(rows + i * K_RUN, g->b_bf16 + (j + i) * g->ldb + k0, k);
    pack_panel_transposed(panel, rows, K_RUN, k, n, 1);
}

// Packs columns column0 ..< column1 (column0 a multiple of 16) of one run of B, k0 ..< k0+k, as panels.
static void gemm_pack(float *panels, const struct dk_gemm *g, long k0, long k, long column0, long column1) {
    for (long j = column0; j < column1; j += LANES) {
        long n = column1 - j < LANES ? column1 - j : LANES;
        float *panel = panels + (j - column0) * k;
        if (g->b_bf16) {
            pack_panel_bf16(panel, g, k0, k, j, n);
            continue;
        }
        if (g->b_transposed) pack_panel_transposed(panel, g->b + j * g->ldb + k0, g->ldb, k, n, 1);
        else pack_panel(panel, g->b + k0 * g->ldb + j, g->ldb, k, n, 1);
        if (g->rounded) convert_round_bf16(panel, panel, k * LANES);
    }
}

// Rows row0 ..< row1 (at most DK_GEMM_ROWS) and columns column0 ..< column1 of C, over all of K. With `packed` = NULL
// the block packs what it needs of B itself, else packed holds all of B's panels, run after run.
static void gemm_block(const struct dk_gemm *g, const float *packed, long row0, long row1, long column0, long column1) {
    long rows = row1 - row0, columns = column1 - column0, padded = (g->columns + LANES - 1) / LANES * LANES;
    float *a = dk_scratch(sizeof(float) * (size_t)K_RUN * (size_t)(DK_GEMM_ROWS + columns + LANES));
    float *own = a + (long)K_RUN * DK_GEMM_ROWS;
    float *c = g->c + row0 * g->ldc + column0;
    const float *bias = g->bias ? g->bias + column0 : NULL;
    for (long k0 = 0; k0 < g->k; k0 += K_RUN) {
        long k = g->k - k0 < K_RUN ? g->k - k0 : K_RUN;
        int start = k0 > 0 ? START_OLD : (g->accumulate ? START_OLD : 0) | (bias ? START_BIAS : 0);
        const float *b = own;
        if (packed) b = packed + k0 * padded + column0 * k;
        else gemm_pack(own, g, k0, k, column0, column1);
        if (g->a_transposed) {
            pack_strips(a, g->a + k0 * g->lda + row0, g->lda, rows, k);
            if (g->rounded) convert_round_bf16(a, a, (rows + STRIP - 1) / STRIP * STRIP * k);
            block_product(c, g->ldc, a, 1, b, k, rows, columns, start, bias);
        } else {
            pack_rows(a, g->a + row0 * g->lda + k0, g->lda, rows, k, g->rounded);
            block_product(c, g->ldc, a, 0, b, k, rows, columns, start, bias);
        }
    }
}

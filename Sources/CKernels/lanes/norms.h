// norms.h: RMSNorm (Zhang & Sennrich 2019, arXiv:1910.07467, §3) and LayerNorm (Ba, Kiros & Hinton 2016,
// arXiv:1607.06450, §3), forward and backward, over a block of rows.
// T = rows of the block, D = width. x, y, dx, dy: (T, D).  weight, bias, dw, db: (D).  mean, rstd: (T).
//   n = (x - mean) * rstd;   y = n * w + b;   g = dy * w;   dx = rstd * (g - mean_d(g) - n * mean_d(g n))
// RMSNorm is the same without mean, b and mean_d(g). A sum over d runs in 4 x 16 lanes, chunk c of 16 in lanes c mod 4.
#pragma once
#include "lanes.h"

// For each chunk of a row: `at` its first element, `n` how many there are (>= 16 means 16), `lane` its accumulator.
#define FOR_ROW(width)                                                       \
    for (long start = 0; start < (width); start += 4 * LANES)                \
        UNROLL for (long lane = 0, at = start, n = (width)-start; lane < 4; lane++, at += LANES, n -= LANES) \
            if (n > 0)

INLINE float sum_chunks(const v16 s[4]) { return sum_lanes((s[0] + s[1]) + (s[2] + s[3])); }

// x in the first n lanes, 0 behind them.
INLINE v16 only(v16 x, long n) {
    if (n >= LANES) return x;
    const i16 index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return choose(index < (int32_t)n, x, (v16){0});
}

INLINE float row_sum(const float *x, long width) {
    v16 s[4] = {{0}};
    FOR_ROW(width) s[lane] += load_some(x + at, n);
    return sum_chunks(s);
}

// sum (x - mean)²
INLINE float row_squares(const float *x, float mean, long width) {
    v16 s[4] = {{0}};
    FOR_ROW(width) {
        v16 centred = only(load_some(x + at, n) - splat(mean), n);
        s[lane] = fused(centred, centred, s[lane]);
    }
    return sum_chunks(s);
}

static void norm_rms(float *y, float *rstd, const float *x, const float *weight, long rows, long width, float epsilon) {
    for (long t = 0; t < rows; t++, x += width, y += width) {
        float r = 1 / sqrtf(row_squares(x, 0, width) / (float)width + epsilon);
        rstd[t] = r;
        FOR_ROW(width) store_some(y + at, load_some(x + at, n) * splat(r) * load_some(weight + at, n), n);
    }
}

static void norm_layer(float *y, float *mean, float *rstd, const float *x, const float *weight, const float *bias,
                       long rows, long width, float epsilon) {
    for (long t = 0; t < rows; t++, x += width, y += width) {
        float middle = row_sum(x, width) / (float)width;
        float r = 1 / sqrtf(row_squares(x, middle, width) / (float)width + epsilon);
        mean[t] = middle;
        rstd[t] = r;
        FOR_ROW(width) {
            v16 normal = (load_some(x + at, n) - splat(middle)) * splat(r);
            store_some(y + at, fused(normal, load_some(weight + at, n), load_some(bias + at, n)), n);
        }
    }
}

// One row's dx, and its share of dw and db (either may be NULL).
INLINE void backward_row(float *dx, float *dw, float *db, const float *dy, const float *x, const float *weight,
                         float mean, float r, long width, const int centred, int accumulate) {
    v16 g_sums[4] = {{0}}, gn_sums[4] = {{0}};
    FOR_ROW(width) {
        v16 normal = (load_some(x + at, n) - splat(mean)) * splat(r), slope = load_some(dy + at, n);
        v16 g = slope * load_some(weight + at, n);
        if (centred) g_sums[lane] += g;
        gn_sums[lane] = fused(g, normal, gn_sums[lane]);
        if (dw) store_some(dw + at, fused(slope, normal, load_some(dw + at, n)), n);
        if (db) store_some(db + at, load_some(db + at, n) + slope, n);
    }
    v16 mean_g = splat(centred ? sum_chunks(g_sums) / (float)width : 0);
    v16 mean_gn = splat(sum_chunks(gn_sums) / (float)width);
    FOR_ROW(width) {
        v16 normal = (load_some(x + at, n) - splat(mean)) * splat(r);
        v16 g = load_some(dy + at, n) * load_some(weight + at, n);
        if (centred) g = g - mean_g;
        v16 value = splat(r) * fused(-normal, mean_gn, g);
        store_some(dx + at, accumulate ? load_some(dx + at, n) + value : value, n);
    }
}

// dw and db are this block's own: overwritten by the sums over its rows, row after row.
static void norm_rms_backward(float *dx, float *dw, const float *dy, const float *x, const float *weight,
                              const float *rstd, long rows, long width, int accumulate) {
    if (dw) memset(dw, 0, (size_t)width * sizeof(float));
    for (long t = 0; t < rows; t++) {
        long row = t * width;
        backward_row(dx + row, dw, NULL, dy + row, x + row, weight, 0, rstd[t], width, 0, accumulate);
    }
}

static void norm_layer_backward(float *dx, float *dw, float *db, const float *dy, const float *x, const float *weight,
                                const float *mean, const float *rstd, long rows, long width, int accumulate) {
    if (dw) memset(dw, 0, (size_t)width * sizeof(float));
    if (db) memset(db, 0, (size_t)width * sizeof(float));
    for (long t = 0; t < rows; t++) {
        long row = t * width;
        backward_row(dx + row, dw, db, dy + row, x + row, weight, mean[t], rstd[t], width, 1, accumulate);
    }
}

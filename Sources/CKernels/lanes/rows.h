// rows.h: ops in which every row stands alone. T = rows, D = width. A sum over d runs in 4 x 16 lanes, as in norms.h.
#pragma once
#include "norms.h"

// y[t] *= factors[t]
static void rows_scale(float *y, const float *factors, long rows, long width) {
    for (long t = 0; t < rows; t++, y += width) {
        v16 factor = splat(factors[t]);
        for (long i = 0; i < width; i += LANES) store_some(y + i, load_some(y + i, width - i) * factor, width - i);
    }
}

// out[t] = sum_d x[t, d] y[t, d]
static void rows_dot(float *out, const float *x, const float *y, long rows, long width) {
    for (long t = 0; t < rows; t++, x += width, y += width) {
        v16 s[4] = {{0}};
        FOR_ROW(width) s[lane] = fused(load_some(x + at, n), load_some(y + at, n), s[lane]);
        out[t] = sum_chunks(s);
    }
}

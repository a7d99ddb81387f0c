// columns.h: sums down columns, and rows by id. The work is divided by columns, so each column is summed by one thread,
// in row order; long sums are broken into runs of DK_ROW_RUN rows, so that rounding errors do not grow with T.
#pragma once
#include "lanes.h"

// sums[columns] += for each run of DK_ROW_RUN rows in turn: the sum of x[rows, columns] over the run's rows, in order.
// At most DK_COLUMNS columns at once, whose partial sums stay in the first-level cache.
static void columns_sum(float *sums, const float *x, long step, long rows, long columns) {
    _Alignas(64) float run[DK_COLUMNS];
    for (long start = 0; start < rows; start += DK_ROW_RUN) {
        long end = rows - start < DK_ROW_RUN ? rows : start + DK_ROW_RUN;
        memset(run, 0, sizeof run);
        for (long t = start; t < end; t++) {
            const float *row = x + t * step;
            for (long j = 0; j < columns; j += LANES) store(run + j, load(run + j) + load_some(row + j, columns - j));
        }
        for (long j = 0; j < columns; j += LANES) {
            store_some(sums + j, load_some(sums + j, columns - j) + load(run + j), columns - j);
        }
    }
}

static void columns_gather(float *y, const float *table, const int32_t *ids, long rows, long width) {
    for (long t = 0; t < rows; t++) memcpy(y + t * width, table + ids[t] * width, (size_t)width * sizeof(float));
}

// table[ids[t], columns] += dy[t, columns], in token order; both have rows of `width`.
static void columns_scatter_add(float *table, const float *dy, const int32_t *ids, long rows, long width,
                                long columns) {
    for (long t = 0; t < rows; t++) {
        float *to = table + ids[t] * width;
        const float *from = dy + t * width;
        for (long j = 0; j < columns; j += LANES) {
            long n = columns - j;
            store_some(to + j, load_some(to + j, n) + load_some(from + j, n), n);
        }
    }
}

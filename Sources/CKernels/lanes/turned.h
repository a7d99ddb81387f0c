// turned.h: the transpose of a matrix, rounded to bf16 or as it is: what a weight gradient's product reads of dy.
#pragma once
#include "gemm.h"

// 8 columns of n <= 16 rows of x, each of `columns` <= 8, as out[8][16]; zeros beyond.
INLINE void turn_block(float *restrict out, const float *restrict x, long step, long n, long columns) {
    const v8 one = {1, 1, 1, 1, 1, 1, 1, 1};
    if (n == LANES && columns == 8) {
        transpose8(out, x, step, one);
        transpose8(out + 8, x + 8 * step, step, one);
        return;
    }
    memset(out, 0, 8 * LANES * sizeof(float));
    for (long i = 0; i < n; i++) {
        for (long j = 0; j < columns; j++) out[j * LANES + i] = x[i * step + j];
    }
}

static void convert_narrow_turned(uint16_t *y, long y_step, const float *x, long x_step, long rows, long columns) {
    _Alignas(64) float block[8 * LANES];
    for (long i = 0; i < rows; i += LANES) {
        long n = rows - i < LANES ? rows - i : LANES;
        for (long j = 0; j < columns; j += 8) {
            long across = columns - j < 8 ? columns - j : 8;
            turn_block(block, x + i * x_step + j, x_step, n, across);
            for (long c = 0; c < across; c++) {
                store_halves(y + (j + c) * y_step + i, narrow16(*(const v16 *)(block + c * LANES)), n);
            }
        }
    }
}

static void convert_turn(float *y, long y_step, const float *x, long x_step, long rows, long columns) {
    _Alignas(64) float block[8 * LANES];
    for (long i = 0; i < rows; i += LANES) {
        long n = rows - i < LANES ? rows - i : LANES;
        for (long j = 0; j < columns; j += 8) {
            long across = columns - j < 8 ? columns - j : 8;
            turn_block(block, x + i * x_step + j, x_step, n, across);
            for (long c = 0; c < across; c++) {
                store_some(y + (j + c) * y_step + i, *(const v16 *)(block + c * LANES), n);
            }
        }
    }
}

// pairs.h: matrices in the order in which processors that multiply bf16 want the second operand of a product.
//
// A block of DK_PAIR_COLUMNS columns is y[k/2][column][2]: two neighbours in k side by side in one 32-bit word, the
// words of a pair of rows in the order of their columns. Whole blocks follow each other.
#pragma once
#include "turned.h"

// Two rows as bf16: the first in the lower halves.
INLINE u16 pair16(v16 even, v16 odd) { return (u16)round16(even) >> 16 | (u16)round16(odd); }

// x[k, columns]
static void pairs_pack(uint16_t *y, const float *x, long x_step, long k, long columns, long padded) {
    for (long row = 0; row < padded; row += 2, y += 2 * DK_PAIR_COLUMNS) {
        for (long j = 0; j < DK_PAIR_COLUMNS; j += LANES) {
            v16 even = {0}, odd = {0};
            long n = columns - j;
            if (n > 0 && row < k) even = load_some(x + row * x_step + j, n);
            if (n > 0 && row + 1 < k) odd = load_some(x + (row + 1) * x_step + j, n);
            u16 words = pair16(even, odd);
            memcpy(y + 2 * j, &words, sizeof words);
        }
    }
}

// x[k, columns] of bf16
static void pairs_pack_bf16(uint16_t *y, const uint16_t *x, long x_step, long k, long columns, long padded) {
    for (long row = 0; row < padded; row += 2, y += 2 * DK_PAIR_COLUMNS) {
        for (long j = 0; j < DK_PAIR_COLUMNS; j += LANES) {
            u16 even = {0}, odd = {0};
            long n = columns - j;
            if (n > 0 && row < k) even = load_halves(x + row * x_step + j, n);
            if (n > 0 && row + 1 < k) odd = load_halves(x + (row + 1) * x_step + j, n);
            u16 words = even | odd << 16;
            memcpy(y + 2 * j, &words, sizeof words);
        }
    }
}

// x[columns, k]
static void pairs_pack_turned(uint16_t *y, const float *x, long x_step, long k, long columns, long padded) {
    _Alignas(64) float block[8 * LANES];
    for (long row = 0; row < padded; row += 8, y += 8 * DK_PAIR_COLUMNS) {
        long down = k - row < 8 ? k - row : 8;
        for (long j = 0; j < DK_PAIR_COLUMNS; j += LANES) {
            long n = columns - j < LANES ? columns - j : LANES;
            if (down > 0 && n > 0) turn_block(block, x + j * x_step + row, x_step, n, down);
            else memset(block, 0, sizeof block);
            UNROLL for (int p = 0; p < 4; p++) {
                u16 words = pair16(*(const v16 *)(block + 2 * p * LANES), *(const v16 *)(block + (2 * p + 1) * LANES));
                memcpy(y + 2 * (p * DK_PAIR_COLUMNS + j), &words, sizeof words);
            }
        }
    }
}

// 8 words of 16 columns' rows: out[8][16] of x[columns, k] of bf16, n columns and `down` values of k; zeros beyond.
INLINE void turn_pairs(u16 out[8], const uint16_t *x, long x_step, long n, long down) {
    if (n == LANES && down >= 16) {
        v8 low[8], high[8];
        transpose_words(low, (const char *)x, x_step * 2);
        transpose_words(high, (const char *)(x + 8 * x_step), x_step * 2);
        UNROLL for (int p = 0; p < 8; p++) {
            memcpy(&out[p], &low[p], sizeof low[p]);
            memcpy((char *)&out[p] + sizeof low[p], &high[p], sizeof high[p]);
        }
        return;
    }
    memset(out, 0, 8 * sizeof out[0]);
    for (long i = 0; i < n; i++) {
        for (long j = 0; j < down && j < 16; j++) out[j / 2][i] |= (uint32_t)x[i * x_step + j] << 16 * (j % 2);
    }
}

// x[columns, k] of bf16
static void pairs_pack_bf16_turned(uint16_t *y, const uint16_t *x, long x_step, long k, long columns, long padded) {
    for (long row = 0; row < padded; row += 16, y += 16 * DK_PAIR_COLUMNS) {
        long pairs = padded - row < 16 ? (padded - row) / 2 : 8;
        for (long j = 0; j < DK_PAIR_COLUMNS; j += LANES) {
            u16 words[8];
            turn_pairs(words, x + j * x_step + row, x_step, columns - j < LANES ? columns - j : LANES, k - row);
            for (long p = 0; p < pairs; p++) memcpy(y + 2 * (p * DK_PAIR_COLUMNS + j), &words[p], sizeof words[p]);
        }
    }
}

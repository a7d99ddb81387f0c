// pairs_reference.c: one block of a matrix in the order in which processors multiply bf16, element by element.
#include "ckernels.h"
#include "ckernels_reference.h"

void dk_pack_pairs_reference(uint16_t *y, const float *x, long x_step, long k, long columns, long padded, int turned) {
    for (long row = 0; row < padded; row++) {
        for (long column = 0; column < DK_PAIR_COLUMNS; column++) {
            uint16_t *at = y + (row / 2 * DK_PAIR_COLUMNS + column) * 2 + row % 2;
            float value = 0;
            if (row < k && column < columns) value = turned ? x[column * x_step + row] : x[row * x_step + column];
            dk_narrow_bf16_reference(at, &value, 1);
        }
    }
}

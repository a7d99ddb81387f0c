// embedding_reference.c: rows of a table by id, and their gradients added back in token order.
// table: (V, D).  y, dy: (T, D).  ids: (T), each in 0 ..< V.
#include "ckernels_reference.h"

void dk_gather_f32_reference(float *y, const float *table, const int32_t *ids, long rows, long width) {
    for (long t = 0; t < rows; t++) {
        for (long d = 0; d < width; d++) y[t * width + d] = table[ids[t] * width + d];
    }
}

void dk_scatter_add_f32_reference(float *table, const float *dy, const int32_t *ids, long rows, long width) {
    for (long t = 0; t < rows; t++) {
        for (long d = 0; d < width; d++) table[ids[t] * width + d] += dy[t * width + d];
    }
}

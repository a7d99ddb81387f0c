// rows_reference.c: rows scaled by a factor of their own, and the inner products of rows. T = rows, D = width.
#include "ckernels_reference.h"

void dk_scale_rows_f32_reference(float *y, const float *factors, long rows, long width) {
    for (long t = 0; t < rows; t++) {
        for (long d = 0; d < width; d++) y[t * width + d] *= factors[t];
    }
}

void dk_dot_rows_f32_reference(float *out, const float *x, const float *y, long rows, long width) {
    for (long t = 0; t < rows; t++) {
        double sum = 0;
        for (long d = 0; d < width; d++) sum += (double)x[t * width + d] * y[t * width + d];
        out[t] = (float)sum;
    }
}

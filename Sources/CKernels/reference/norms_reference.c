// norms_reference.c: RMSNorm (Zhang & Sennrich 2019, arXiv:1910.07467, §3) and LayerNorm (Ba, Kiros & Hinton 2016,
// arXiv:1607.06450, §3) with their gradients, sums in fp64.
// T = tokens, D = width. x, y, dx, dy: (T, D).  weight, bias, dw, db: (D).  mean, rstd: (T), kept for the backward
// pass.
//   RMSNorm:    n[t,d] = x[t,d] * r[t],              r[t] = 1 / sqrt(mean_d x² + eps),   y = n * w
//   LayerNorm:  n[t,d] = (x[t,d] - mean[t]) * r[t],  r[t] = 1 / sqrt(var_d x + eps),     y = n * w + b
//   with g = dy * w:   dx = r * (g - [mean_d g] - n * mean_d(g * n)), the bracket for LayerNorm only
//                      dw += sum_t dy * n                              db += sum_t dy
#include "ckernels_reference.h"
#include <math.h>

void dk_rmsnorm_f32_reference(float *y, float *rstd, const float *x, const float *weight, long rows, long width,
                              float epsilon) {
    for (long t = 0; t < rows; t++) {
        double squares = 0;
        for (long d = 0; d < width; d++) squares += (double)x[t * width + d] * x[t * width + d];
        double r = 1 / sqrt(squares / (double)width + epsilon);
        rstd[t] = (float)r;
        for (long d = 0; d < width; d++) y[t * width + d] = (float)(x[t * width + d] * r * weight[d]);
    }
}

// The gradient both norms share; `centred` says whether the mean was taken off.
static void backward(float *dx, float *dw, float *db, const float *dy, const float *x, const float *weight,
                     const float *mean, const float *rstd, long rows, long width, int accumulate) {
    int centred = mean != NULL;
    for (long t = 0; t < rows; t++) {
        double r = rstd[t], middle = centred ? mean[t] : 0, sum_g = 0, sum_gn = 0;
        for (long d = 0; d < width; d++) {
            double n = (x[t * width + d] - middle) * r, g = (double)dy[t * width + d] * weight[d];
            sum_g += g;
            sum_gn += g * n;
            if (dw) dw[d] += (float)(dy[t * width + d] * n);
            if (db) db[d] += dy[t * width + d];
        }
        double mean_g = centred ? sum_g / (double)width : 0, mean_gn = sum_gn / (double)width;
        for (long d = 0; d < width; d++) {
            double n = (x[t * width + d] - middle) * r, g = (double)dy[t * width + d] * weight[d];
            double value = r * (g - mean_g - n * mean_gn);
            dx[t * width + d] = (float)(accumulate ? dx[t * width + d] + value : value);
        }
    }
}

void dk_rmsnorm_f32_backward_reference(float *dx, float *dw, const float *dy, const float *x, const float *weight,
                                       const float *rstd, long rows, long width, int accumulate) {
    backward(dx, dw, NULL, dy, x, weight, NULL, rstd, rows, width, accumulate);
}

void dk_layernorm_f32_reference(float *y, float *mean, float *rstd, const float *x, const float *weight,
                                const float *bias, long rows, long width, float epsilon) {
    for (long t = 0; t < rows; t++) {
        double sum = 0, squares = 0;
        for (long d = 0; d < width; d++) sum += x[t * width + d];
        double middle = sum / (double)width;
        for (long d = 0; d < width; d++) squares += (x[t * width + d] - middle) * (x[t * width + d] - middle);
        double r = 1 / sqrt(squares / (double)width + epsilon);
        mean[t] = (float)middle;
        rstd[t] = (float)r;
        for (long d = 0; d < width; d++) {
            y[t * width + d] = (float)((x[t * width + d] - middle) * r * weight[d] + bias[d]);
        }
    }
}

void dk_layernorm_f32_backward_reference(float *dx, float *dw, float *db, const float *dy, const float *x,
                                         const float *weight, const float *mean, const float *rstd, long rows,
                                         long width, int accumulate) {
    backward(dx, dw, db, dy, x, weight, mean, rstd, rows, width, accumulate);
}

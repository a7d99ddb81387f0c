// linear_reference.c: the matrix products of a linear layer, as sums in fp64.
// T = tokens, I = inputs, O = outputs. Row-major.
//   y[t,o]  = sum_i x[t,i] * w[o,i] + bias[o]
//   dx[t,i] = sum_o dy[t,o] * w[o,i]        dw[o,i] += sum_t dy[t,o] * x[t,i]        db[o] += sum_t dy[t,o]
#include "ckernels_reference.h"
#include <stdlib.h>

void dk_linear_f32_reference(float *y, const float *x, const float *w, const float *bias, long rows, long inputs,
                             long outputs, int accumulate) {
    for (long t = 0; t < rows; t++) {
        for (long o = 0; o < outputs; o++) {
            double sum = bias ? bias[o] : 0;
            for (long i = 0; i < inputs; i++) sum += (double)x[t * inputs + i] * w[o * inputs + i];
            if (accumulate) sum += y[t * outputs + o];
            y[t * outputs + o] = (float)sum;
        }
    }
}

void dk_linear_input_gradient_f32_reference(float *dx, const float *dy, const float *w, long rows, long inputs,
                                            long outputs, int accumulate) {
    for (long t = 0; t < rows; t++) {
        for (long i = 0; i < inputs; i++) {
            double sum = accumulate ? dx[t * inputs + i] : 0;
            for (long o = 0; o < outputs; o++) sum += (double)dy[t * outputs + o] * w[o * inputs + i];
            dx[t * inputs + i] = (float)sum;
        }
    }
}

void dk_linear_weight_gradient_f32_reference(float *dw, const float *dy, const float *x, long rows, long inputs,
                                             long outputs) {
    for (long o = 0; o < outputs; o++) {
        for (long i = 0; i < inputs; i++) {
            double sum = dw[o * inputs + i];
            for (long t = 0; t < rows; t++) sum += (double)dy[t * outputs + o] * x[t * inputs + i];
            dw[o * inputs + i] = (float)sum;
        }
    }
}

void dk_bias_gradient_f32_reference(float *db, const float *dy, long rows, long outputs) {
    for (long o = 0; o < outputs; o++) {
        double sum = db[o];
        for (long t = 0; t < rows; t++) sum += dy[t * outputs + o];
        db[o] = (float)sum;
    }
}

// x rounded to bf16, in memory that the caller frees.
static float *rounded(const float *x, long count) {
    float *y = malloc(sizeof(float) * (size_t)(count > 0 ? count : 1));
    if (!y) abort();  // a twin has nobody to tell
    dk_round_bf16_reference(y, x, count);
    return y;
}

void dk_linear_bf16_reference(float *y, const float *x, const float *w, const float *bias, long rows, long inputs,
                              long outputs, int accumulate) {
    float *a = rounded(x, rows * inputs), *b = rounded(w, outputs * inputs);
    dk_linear_f32_reference(y, a, b, bias, rows, inputs, outputs, accumulate);
    free(a);
    free(b);
}

void dk_linear_input_gradient_bf16_reference(float *dx, const float *dy, const float *w, long rows, long inputs,
                                             long outputs, int accumulate) {
    float *a = rounded(dy, rows * outputs), *b = rounded(w, outputs * inputs);
    dk_linear_input_gradient_f32_reference(dx, a, b, rows, inputs, outputs, accumulate);
    free(a);
    free(b);
}

void dk_linear_weight_gradient_bf16_reference(float *dw, const float *dy, const float *x, long rows, long inputs,
                                              long outputs) {
    float *a = rounded(dy, rows * outputs), *b = rounded(x, rows * inputs);
    dk_linear_weight_gradient_f32_reference(dw, a, b, rows, inputs, outputs);
    free(a);
    free(b);
}

// activations_reference.c: SwiGLU (Shazeer 2020, arXiv:2002.05202, §2) and GELU in its tanh form (Hendrycks & Gimpel
// 2016, arXiv:1606.08415, §2), elementwise over N numbers, in fp64.
//   swiglu: y = silu(gate) * up,  silu(g) = g * s(g),  s(g) = 1 / (1 + exp(-g)),  silu'(g) = s * (1 + g * (1 - s))
//   gelu:   y = x/2 * (1 + tanh u),  u = sqrt(2/pi) * (x + 0.044715 x³)
#include "ckernels_reference.h"
#include <math.h>

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

void dk_swiglu_f32_reference(float *y, const float *gate, const float *up, long count) {
    for (long i = 0; i < count; i++) y[i] = (float)(gate[i] * sigmoid(gate[i]) * up[i]);
}

void dk_swiglu_f32_backward_reference(float *dgate, float *dup, const float *dy, const float *gate, const float *up,
                                      long count) {
    for (long i = 0; i < count; i++) {
        double s = sigmoid(gate[i]), d = dy[i], u = up[i], g = gate[i];
        dgate[i] = (float)(d * u * s * (1 + g * (1 - s)));
        dup[i] = (float)(d * g * s);
    }
}

static const double root = 0.79788456080286535588;  // sqrt(2/pi)

void dk_gelu_f32_reference(float *y, const float *x, long count) {
    for (long i = 0; i < count; i++) {
        double v = x[i];
        y[i] = (float)(0.5 * v * (1 + tanh(root * (v + 0.044715 * v * v * v))));
    }
}

void dk_gelu_f32_backward_reference(float *dx, const float *dy, const float *x, long count) {
    for (long i = 0; i < count; i++) {
        double v = x[i], t = tanh(root * (v + 0.044715 * v * v * v));
        double slope = 0.5 * (1 + t) + 0.5 * v * (1 - t * t) * root * (1 + 3 * 0.044715 * v * v);
        dx[i] = (float)(dy[i] * slope);
    }
}

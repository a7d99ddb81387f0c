// conversions_reference.c: bf16 (the upper half of an fp32) and IEEE half precision, N numbers, bit by bit.
#include "ckernels_reference.h"
#include <math.h>
#include <string.h>

void dk_widen_bf16_reference(float *y, const uint16_t *x, long count) {
    for (long i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)x[i] << 16;
        memcpy(y + i, &bits, 4);
    }
}

void dk_widen_f16_reference(float *y, const uint16_t *x, long count) {
    for (long i = 0; i < count; i++) {
        int exponent = x[i] >> 10 & 31, fraction = x[i] & 1023;
        double value = exponent == 0 ? ldexp(fraction, -24) : ldexp(fraction + 1024, exponent - 25);
        if (exponent == 31) value = fraction ? NAN : INFINITY;
        y[i] = (float)(x[i] >> 15 ? -value : value);
    }
}

// Round to nearest, ties to even; a NaN keeps its sign and stays one.
void dk_narrow_bf16_reference(uint16_t *y, const float *x, long count) {
    for (long i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, 4);
        if (isnan(x[i])) y[i] = (uint16_t)(bits >> 16 | 64);
        else y[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
}

void dk_round_bf16_reference(float *y, const float *x, long count) {
    for (long i = 0; i < count; i++) {
        uint16_t half;
        dk_narrow_bf16_reference(&half, x + i, 1);
        dk_widen_bf16_reference(y + i, &half, 1);
    }
}

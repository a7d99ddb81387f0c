// ckernels_wire.h: gradients on their way between workers: sums, and the two compressed forms.
//
// Every function runs in the floating-point mode of the kernels (subnormal numbers are zero), whatever thread calls it.
#ifndef CKERNELS_WIRE_H
#define CKERNELS_WIRE_H

#include <stdint.h>

#pragma clang assume_nonnull begin

// Elements that share one scale, at most: blocks begin at multiples of it in the flat vector, and at tensors.
#define DK_WIRE_BLOCK 64

// y[count] = a[count] + b[count]; a and b are floats at any address, y may be one of them.
void dk_wire_add(float *y, const void *a, const void *b, long count);

// y[count] = x[count], past the processor's caches: for what is not read again soon. x is floats at any address.
void dk_wire_copy(float *y, const void *x, long count);

// The nearest bf16, ties to even; one that is not a number stays one.
void dk_wire_to_bf16(uint16_t *y, const float *x, long count);
void dk_wire_from_bf16(float *y, const uint16_t *x, long count);
// x[count] becomes what it would be after the wire.
void dk_wire_round_bf16(float *x, long count);

// Elements first ..< first + count of the flat vector, all of one tensor: each block becomes integers in -127...127,
// ties to even, and a code for the power of two they count: 0 = all zero, 255 = not finite, else 2^(code - 127), the
// smallest that holds the block. Returns how many codes it wrote.
long dk_wire_to_int8(int8_t *y, uint8_t *codes, const float *x, long first, long count);
long dk_wire_from_int8(float *y, const int8_t *x, const uint8_t *codes, long first, long count);
void dk_wire_round_int8(float *x, long first, long count);

#pragma clang assume_nonnull end

#endif

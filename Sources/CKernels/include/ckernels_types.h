// ckernels_types.h: the records that travel between Swift and C.
#pragma once
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

// Shape of one attention call. hd = head_width. Strides are in floats, from one token to the next.
struct dk_attention {
    long heads;       // query heads Hq
    long kv_heads;    // key and value heads Hkv; Hq is a multiple of it
    long head_width;  // hd
    long q_stride;    // of q
    long kv_stride;   // of k and v
    long out_stride;  // of out and dout
    long dq_stride;   // of dq
    long dkv_stride;  // of dk and dv
    long window;      // a query sees the last `window` positions, itself among them; 0 = all before it
    float scale;      // of the scores, before softmax
};

// Constants of one AdamW update, folded in fp64 and rounded once.
//   p *= keep (where decayed);  g' = g*scale;  m = beta1*m + rest1*g';  v = beta2*v + rest2*g'*g'
//   p -= rate * m / (sqrt(v)*root + epsilon)
struct dk_adamw {
    float scale;    // 1/N times the clip factor
    float keep;     // 1 - lr*weight_decay
    float beta1;
    float rest1;    // 1 - beta1
    float beta2;
    float rest2;    // 1 - beta2
    float rate;     // lr / (1 - beta1^s)
    float root;     // 1 / sqrt(1 - beta2^s)
    float epsilon;
};

// C[M, columns] (+)= A[M, k] · B[k, columns] + bias[columns]. ld* = elements from one stored row to the next.
struct dk_gemm {
    float *c;
    const float *a;                     // stored [M, k], or [k, M] when a_transposed
    const float *_Nullable b;           // stored [k, columns], or [columns, k] when b_transposed
    const uint16_t *_Nullable b_bf16;   // the same as bf16 in place of b
    const float *_Nullable bias;        // NULL = none
    long ldc, lda, ldb;
    long k, columns;
    int a_transposed, b_transposed;
    int accumulate;  // C is added to
    int rounded;     // A and B are rounded to bf16 (to nearest even) before they are multiplied; sums are fp32
};

#pragma clang assume_nonnull end

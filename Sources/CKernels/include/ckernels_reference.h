// ckernels_reference.h: the slow twins. Plain loops, one thread, no vectors: what every fast kernel is tested against.
//
// Shape letters: T tokens (rows), D width, I inputs, O outputs, H heads, V vocabulary, N elements. All tensors are
// row-major fp32.
#pragma once
#include "ckernels_types.h"

#pragma clang assume_nonnull begin

// y[T,O] (+)= x[T,I] · w[O,I]^T + bias[O]; bias may be NULL.
void dk_linear_f32_reference(float *y, const float *x, const float *w, const float *_Nullable bias, long rows,
                             long inputs, long outputs, int accumulate);
// dx[T,I] (+)= dy[T,O] · w[O,I].
void dk_linear_input_gradient_f32_reference(float *dx, const float *dy, const float *w, long rows, long inputs,
                                            long outputs, int accumulate);
// dw[O,I] += dy[T,O]^T · x[T,I].
void dk_linear_weight_gradient_f32_reference(float *dw, const float *dy, const float *x, long rows, long inputs,
                                             long outputs);
// The same three with operands rounded to bf16 before they are multiplied.
void dk_linear_bf16_reference(float *y, const float *x, const float *w, const float *_Nullable bias, long rows,
                              long inputs, long outputs, int accumulate);
void dk_linear_input_gradient_bf16_reference(float *dx, const float *dy, const float *w, long rows, long inputs,
                                             long outputs, int accumulate);
void dk_linear_weight_gradient_bf16_reference(float *dw, const float *dy, const float *x, long rows, long inputs,
                                              long outputs);
// db[O] += column sums of dy[T,O].
void dk_bias_gradient_f32_reference(float *db, const float *dy, long rows, long outputs);

void dk_rmsnorm_f32_reference(float *y, float *rstd, const float *x, const float *weight, long rows, long width,
                              float epsilon);
void dk_rmsnorm_f32_backward_reference(float *dx, float *_Nullable dw, const float *dy, const float *x,
                                       const float *weight, const float *rstd, long rows, long width, int accumulate);
void dk_layernorm_f32_reference(float *y, float *mean, float *rstd, const float *x, const float *weight,
                                const float *bias, long rows, long width, float epsilon);
void dk_layernorm_f32_backward_reference(float *dx, float *_Nullable dw, float *_Nullable db, const float *dy,
                                         const float *x, const float *weight, const float *mean, const float *rstd,
                                         long rows, long width, int accumulate);

// Rotates the first `rotary` dimensions of x[T,H,hd] in place; interleaved pairs are (2i, 2i+1), halves are (i,
// i+rotary/2).
void dk_rope_f32_reference(float *x, const int32_t *positions, const float *cosines, const float *sines, long rows,
                           long heads, long head_width, long rotary, int interleaved, int inverse);

void dk_attention_f32_reference(float *out, float *lse, const float *q, const float *k, const float *v,
                                const struct dk_attention *shape, const int32_t *documents, long document_count,
                                long rows);
void dk_attention_f32_backward_reference(float *dq, float *dk, float *dv, const float *dout, const float *out,
                                         const float *lse, const float *q, const float *k, const float *v,
                                         const struct dk_attention *shape, const int32_t *documents,
                                         long document_count, long rows);
// One query row per head, q[Hq,hd], against `length` cached keys and values; the last key is the query's own.
void dk_attention_f32_decode_reference(float *out, const float *q, const float *keys, const float *values,
                                       const struct dk_attention *shape, long length);

void dk_swiglu_f32_reference(float *y, const float *gate, const float *up, long count);
void dk_swiglu_f32_backward_reference(float *dgate, float *dup, const float *dy, const float *gate, const float *up,
                                      long count);
void dk_gelu_f32_reference(float *y, const float *x, long count);
void dk_gelu_f32_backward_reference(float *dx, const float *dy, const float *x, long count);

void dk_scale_rows_f32_reference(float *y, const float *factors, long rows, long width);
void dk_dot_rows_f32_reference(float *out, const float *x, const float *y, long rows, long width);

void dk_gather_f32_reference(float *y, const float *table, const int32_t *ids, long rows, long width);
void dk_scatter_add_f32_reference(float *table, const float *dy, const int32_t *ids, long rows, long width);

// Sum of -log p over rows with targets[t] >= 0. dh (overwritten), dhead and dbias (+=), bias and losses may be NULL.
double dk_crossentropy_f32_reference(const float *h, const float *head, const float *_Nullable bias,
                                     const int32_t *targets, long rows, long width, long vocabulary,
                                     float *_Nullable dh, float *_Nullable dhead, float *_Nullable dbias,
                                     float *_Nullable losses);

double dk_sum_of_squares_f32_reference(const float *g, long count);
void dk_adamw_f32_reference(float *p, float *m, float *v, const float *g, long count, const struct dk_adamw *step,
                            int decay);
// 64-bit digest of the bits of p, m and v, each (N); the construction is explained in adamw_reference.c.
uint64_t dk_state_digest_reference(const float *p, const float *m, const float *v, long count);

void dk_widen_bf16_reference(float *y, const uint16_t *x, long count);
void dk_widen_f16_reference(float *y, const uint16_t *x, long count);
void dk_narrow_bf16_reference(uint16_t *y, const float *x, long count);
// y = x rounded to bf16, still fp32.
void dk_round_bf16_reference(float *y, const float *x, long count);
// y[padded/2, DK_PAIR_COLUMNS, 2] = x[k, columns], or x[columns, k] if turned, as bf16, and zeros around it.
void dk_pack_pairs_reference(uint16_t *y, const float *x, long x_step, long k, long columns, long padded, int turned);

#pragma clang assume_nonnull end

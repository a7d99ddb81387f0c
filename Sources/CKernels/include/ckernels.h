// ckernels.h: Drover's own arithmetic on memory, in C11. Nothing here allocates in steady state, or prints.
//
// Kernels are single-threaded and pure: a caller cuts an op in blocks and lets a team run them. Shape letters: T tokens
// (rows), D width, I inputs, O outputs, H heads, hd head width, V vocabulary, N elements. Tensors are row-major fp32.
#pragma once
#include "ckernels_types.h"

#pragma clang assume_nonnull begin

// A fixed team of threads. The caller of dk_team_run is one of them; NULL when threads cannot be made.
struct dk_team;
struct dk_team *_Nullable dk_team_create(int threads);
void dk_team_destroy(struct dk_team *team);
// Runs body(context, 0 ..< count), each index once, on whichever thread is free; returns when all are done. Not
// reentrant.
void dk_team_run(struct dk_team *team, long count, void (*body)(void *_Nullable context, long index),
                 void *_Nullable context);

// Floating-point mode of the calling thread: subnormals are zero, round to nearest even. `leave` restores what `enter`
// found.
uint64_t dk_floats_enter(void);
void dk_floats_leave(uint64_t found);

// Zeroed memory on 64-byte bounds, on huge pages where the system has them. NULL when there is none.
void *_Nullable dk_memory_create(size_t bytes);
void dk_memory_destroy(void *memory, size_t bytes);
// Memory of the calling thread, 64-byte aligned, contents undefined; valid until its next call.
void *dk_scratch(size_t bytes);

// Constants of the arithmetic: to change one is to change results.
#define DK_GEMM_K 256        // consecutive k of one fused sum in a matrix product
#define DK_ROW_RUN 64        // consecutive rows of one partial sum over tokens
#define DK_STATE_BLOCK 4096  // elements of one block of the flat state: digest, norm of the gradient

// How many rows of A gemm_block packs at once: 192 KiB of them.
#define DK_GEMM_ROWS 192

// How many columns column_sums takes at once.
#define DK_COLUMNS 256

// Columns of one block of a matrix packed in pairs.
#define DK_PAIR_COLUMNS 64

// Folds one word into a running digest.
static inline uint64_t dk_digest_fold(uint64_t digest, uint64_t word) {
    return ((digest << 23 | digest >> 41) ^ word) * 0x9e3779b97f4a7c15u;
}

// The kernels of one level. All levels give the same bits.
struct dk_kernels {
    // Packs columns column0 ..< column1 (column0 a multiple of 16) and rows k0 ..< k0+k of B as panels[k][16].
    void (*gemm_pack)(float *panels, const struct dk_gemm *gemm, long k0, long k, long column0, long column1);
    // Rows row0 ..< row1 (at most DK_GEMM_ROWS) and columns column0 ..< column1 (column0 a multiple of 16) of C.
    // `packed` holds all of B, run of DK_GEMM_K after run, each padded to 16 columns; NULL = the block packs its part
    // of B itself.
    void (*gemm_block)(const struct dk_gemm *gemm, const float *_Nullable packed, long row0, long row1, long column0,
                       long column1);

    void (*rmsnorm)(float *y, float *rstd, const float *x, const float *weight, long rows, long width, float epsilon);
    // dw (D) is overwritten by the sum over these rows.
    void (*rmsnorm_backward)(float *dx, float *_Nullable dw, const float *dy, const float *x, const float *weight,
                             const float *rstd, long rows, long width, int accumulate);
    void (*layernorm)(float *y, float *mean, float *rstd, const float *x, const float *weight, const float *bias,
                      long rows, long width, float epsilon);
    // dw and db (D) are overwritten by the sums over these rows.
    void (*layernorm_backward)(float *dx, float *_Nullable dw, float *_Nullable db, const float *dy, const float *x,
                               const float *weight, const float *mean, const float *rstd, long rows, long width,
                               int accumulate);
    // x rows lie `step` floats apart.
    void (*rope)(float *x, const int32_t *positions, const float *cosines, const float *sines, long rows, long step,
                 long heads, long head_width, long rotary, int interleaved, int inverse);

    // One head of one document; pointers at the document's first token. Queries q0 ..< q1, q0 a multiple of 96.
    void (*attention)(float *out, float *lse, const float *q, const float *k, const float *v,
                      const struct dk_attention *shape, long q0, long q1);
    void (*attention_backward)(float *dq, float *dk, float *dv, const float *dout, const float *out, const float *lse,
                               const float *q, const float *k, const float *v, const struct dk_attention *shape,
                               long length);
    // One query of one head against `length` keys, the last its own.
    void (*attention_decode)(float *out, const float *q, const float *k, const float *v,
                             const struct dk_attention *shape, long length);
    // out[T, kv_heads, hd] = sum over g of shares[T, kv_heads, group, hd].
    void (*sum_heads)(float *out, long stride, const float *shares, long rows, long kv_heads, long group, long width);

    void (*swiglu)(float *y, const float *gate, const float *up, long count);
    void (*swiglu_backward)(float *dgate, float *dup, const float *dy, const float *gate, const float *up, long count);
    void (*gelu)(float *y, const float *x, long count);
    void (*gelu_backward)(float *dx, const float *dy, const float *x, long count);
    void (*add)(float *y, const float *x, long count);
    void (*scale)(float *y, float factor, long count);
    // y[T, D] *= factors[T];  out[T] = sums over D of x * y.
    void (*scale_rows)(float *y, const float *factors, long rows, long width);
    void (*dot_rows)(float *out, const float *x, const float *y, long rows, long width);

    // sums[columns] += column sums of x[rows, columns], rows `step` floats apart; at most DK_COLUMNS columns.
    void (*column_sums)(float *sums, const float *x, long step, long rows, long columns);
    void (*gather)(float *y, const float *table, const int32_t *ids, long rows, long width);
    // table[ids[t], columns] += dy[t, columns]; both have rows of `width`.
    void (*scatter_add)(float *table, const float *dy, const int32_t *ids, long rows, long width, long columns);

    // losses[rows] of logits[rows, V], rows `step` floats apart; with `gradient` the logits become their gradients.
    void (*softmax_loss)(double *losses, float *logits, const int32_t *targets, long rows, long step, long vocabulary,
                         int gradient);

    // One block of at most DK_STATE_BLOCK elements. adamw updates and returns the digest of what it wrote.
    double (*sum_of_squares)(const float *g, long count);
    uint64_t (*adamw)(float *p, float *m, float *v, const float *g, long count, const struct dk_adamw *step, int decay);
    uint64_t (*digest)(const float *p, const float *m, const float *v, long count);

    void (*widen_bf16)(float *y, const uint16_t *x, long count);
    void (*widen_f16)(float *y, const uint16_t *x, long count);
    void (*narrow_bf16)(uint16_t *y, const float *x, long count);
    // y = x rounded to bf16, still fp32; y may be x.
    void (*round_bf16)(float *y, const float *x, long count);
    // y[columns, rows] = the transpose of x[rows, columns], as bf16 or as it is; rows of each lie `*_step` elements
    // apart.
    void (*narrow_turned)(uint16_t *y, long y_step, const float *x, long x_step, long rows, long columns);
    void (*turn)(float *y, long y_step, const float *x, long x_step, long rows, long columns);
    // y[padded/2, DK_PAIR_COLUMNS, 2] = x[k, columns] as bf16, and zeros around it: at most DK_PAIR_COLUMNS columns,
    // `padded` a multiple of 8. The second reads bf16, the third x[columns, k], the fourth that of bf16.
    void (*pack_pairs)(uint16_t *y, const float *x, long x_step, long k, long columns, long padded);
    void (*pack_pairs_bf16)(uint16_t *y, const uint16_t *x, long x_step, long k, long columns, long padded);
    void (*pack_pairs_turned)(uint16_t *y, const float *x, long x_step, long k, long columns, long padded);
    void (*pack_pairs_bf16_turned)(uint16_t *y, const uint16_t *x, long x_step, long k, long columns, long padded);
};

// What a machine can run, slowest first.
enum dk_level { dk_level_portable = 0, dk_level_avx2 = 1, dk_level_avx512 = 2 };

// The kernels of a level; NULL where the machine lacks it.
const struct dk_kernels *_Nullable dk_kernels_at(enum dk_level level);
// The fastest level of this machine.
enum dk_level dk_best_level(void);

#pragma clang assume_nonnull end

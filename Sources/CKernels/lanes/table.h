// table.h: the kernels of one level, in the order of struct dk_kernels. Included last by each lanes_*.c, which defines
// LANES_TABLE as the table's name.
#pragma once
#include "attention_backward.h"
#include "columns.h"
#include "conversions.h"
#include "elementwise.h"
#include "gemm.h"
#include "gemm_row.h"
#include "heads.h"
#include "norms.h"
#include "optimizer.h"
#include "pairs.h"
#include "rope.h"
#include "rows.h"
#include "softmax.h"
#include "turned.h"

const struct dk_kernels LANES_TABLE = {
    .gemm_pack = gemm_pack,
    .gemm_block = gemm_task,
    .rmsnorm = norm_rms,
    .rmsnorm_backward = norm_rms_backward,
    .layernorm = norm_layer,
    .layernorm_backward = norm_layer_backward,
    .rope = rope_rows,
    .attention = attention_forward,
    .attention_backward = attention_backward,
    .attention_decode = attention_decode,
    .sum_heads = heads_sum,
    .swiglu = ew_swiglu,
    .swiglu_backward = ew_swiglu_backward,
    .gelu = ew_gelu,
    .gelu_backward = ew_gelu_backward,
    .add = ew_add,
    .scale = ew_scale,
    .scale_rows = rows_scale,
    .dot_rows = rows_dot,
    .column_sums = columns_sum,
    .gather = columns_gather,
    .scatter_add = columns_scatter_add,
    .softmax_loss = softmax_rows,
    .sum_of_squares = optimizer_squares,
    .adamw = optimizer_adamw,
    .digest = optimizer_digest,
    .widen_bf16 = convert_widen_bf16,
    .widen_f16 = convert_widen_f16,
    .narrow_bf16 = convert_narrow_bf16,
    .round_bf16 = convert_round_bf16,
    .narrow_turned = convert_narrow_turned,
    .turn = convert_turn,
    .pack_pairs = pairs_pack,
    .pack_pairs_bf16 = pairs_pack_bf16,
    .pack_pairs_turned = pairs_pack_turned,
    .pack_pairs_bf16_turned = pairs_pack_bf16_turned,
};

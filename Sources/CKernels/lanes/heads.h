// heads.h: the shares of the query heads that read one key head, added in head order (grouped-query attention).
#pragma once
#include "lanes.h"

// out[T, kv_heads, hd] (rows `stride` apart) = sum over g of shares[T, kv_heads, group, hd].
static void heads_sum(float *out, long stride, const float *shares, long rows, long kv_heads, long group, long width) {
    for (long t = 0; t < rows; t++) {
        for (long h = 0; h < kv_heads; h++) {
            const float *share = shares + (t * kv_heads + h) * group * width;
            for (long d = 0; d < width; d += LANES) {
                v16 sum = load_some(share + d, width - d);
                for (long g = 1; g < group; g++) sum += load_some(share + g * width + d, width - d);
                store_some(out + t * stride + h * width + d, sum, width - d);
            }
        }
    }
}

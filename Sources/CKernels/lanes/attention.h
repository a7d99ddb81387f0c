// attention.h: causal attention of one head inside one document, forward, tile by tile, so that scores never leave the
// cache. Dao et al. 2022, "FlashAttention", arXiv:2205.14135, algorithm 1; Milakov & Gimelshein 2018, arXiv:1805.02867.
// L = document length, hd = head width. All positions, blocks and tiles count from the document's own start, so a
// document gives the same bits wherever it lies in the row.
//   s[t,j] = scale q[t]·k[j];  p = exp(s - top);  out[t] = sum_j p v[j] / sum_j p;  lse[t] = top + log(sum_j p)
#pragma once
#include "gemm.h"

#define KEYS 96      // keys of a block, and queries of a block: a multiple of 12, 16 and 32
#define NO_SCORE -1e30f  // below every score; finite, so that a row without keys in a block stays at rest

INLINE long padded(long n, long unit) { return (n + unit - 1) / unit * unit; }
INLINE long least(long a, long b) { return a < b ? a : b; }
INLINE long most(long a, long b) { return a > b ? a : b; }

// First key that query t sees.
INLINE long first_key(const struct dk_attention *s, long t) { return s->window > 0 ? most(0, t - s->window + 1) : 0; }

// Panels for scores: keys as columns, panel[hd][16] after panel.
static void pack_keys(float *panels, const float *k, long stride, long length, long width) {
    for (long j = 0; j < length; j += LANES) {
        pack_panel_transposed(panels + j * width, k + j * stride, stride, width, least(LANES, length - j), 1);
    }
}

// Panels for sums over tokens: dimensions as columns, panel[padded(L, 16)][16] after panel, zeros behind L.
static void pack_tokens(float *panels, const float *x, long stride, long length, long width, float factor) {
    long height = padded(length, LANES);
    for (long d = 0; d < width; d += LANES) {
        float *panel = panels + d * height;
        pack_panel(panel, x + d, stride, length, least(LANES, width - d), factor);
        memset(panel + length * LANES, 0, (size_t)((height - length) * LANES) * sizeof(float));
    }
}

// Rows back to back, times `factor`; as many more rows as fill a tile are zeroed.
static void pack_queries(float *out, const float *x, long stride, long rows, long width, float factor) {
    for (long t = 0; t < rows; t++) {
        for (long d = 0; d < width; d += LANES) {
            long n = width - d;
            store_some(out + t * width + d, load_some(x + t * stride + d, n) * splat(factor), n);
        }
    }
    memset(out + rows * width, 0, (size_t)((padded(rows, TILE_ROWS) - rows) * width) * sizeof(float));
}

// scores[TILE_ROWS][KEYS] = a tile of rows [TILE_ROWS][width] times `count` columns of panels[width][16].
INLINE void tile_scores(float *scores, const float *rows, const float *panels, long width, long count) {
    for (long j = 0; j < count; j += TILE_PANELS * LANES) {
        v16 s[TILE_ROWS][TILE_PANELS];
        if (TILE_PANELS == 1 || count - j > LANES) {
            tile_sum(s, TILE_PANELS, width, rows, width, 1, panels + j * width, width * LANES);
            tile_store(scores + j, KEYS, s, TILE_PANELS, START_NONE, NULL);
        } else {
            tile_sum(s, 1, width, rows, width, 1, panels + j * width, width * LANES);
            tile_store(scores + j, KEYS, s, 1, START_NONE, NULL);
        }
    }
}

// out[rows][width] (+)= weights (element (row, k) at row*row_step + k*k_step) times panels of `height` tokens each.
INLINE void tile_tokens(float *out, long stride, const float *weights, const long row_step, const long k_step,
                        const float *panels, long height, long k, long rows, long width, int start) {
    for (long d = 0; d < width; d += TILE_PANELS * LANES) {
        v16 s[TILE_ROWS][TILE_PANELS];
        const float *from = panels + d * height;
        int pair = TILE_PANELS == 1 || width - d > LANES;
        if (pair) tile_sum(s, TILE_PANELS, k, weights, row_step, k_step, from, height * LANES);
        else tile_sum(s, 1, k, weights, row_step, k_step, from, height * LANES);
        if (rows < TILE_ROWS || width - d < (pair ? TILE_PANELS : 1) * LANES) {
            tile_store_part(out + d, stride, s, start, NULL, rows, width - d);
        } else if (pair) {
            tile_store(out + d, stride, s, TILE_PANELS, start, NULL);
        } else {
            tile_store(out + d, stride, s, 1, start, NULL);
        }
    }
}

// Whether a tile of queries t ... t+rows-1 sees every key of key ..< key+count.
INLINE int sees_all(const struct dk_attention *s, long t, long rows, long key, long count) {
    return key + count - 1 <= t && first_key(s, t + rows - 1) <= key;
}

// Writes `value` over the scores of keys that query t does not see.
static void hide(float *scores, const struct dk_attention *s, long t, long key, long count, float value) {
    const i16 index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    long first = first_key(s, t);
    for (long j = 0; j < count; j += LANES) {
        i16 at = index + (int32_t)(key + j);
        i16 hidden = (at > (int32_t)t) | (at < (int32_t)first);
        store(scores + j, choose(hidden, splat(value), load(scores + j)));
    }
}

// What a block of queries keeps while it walks over the keys.
struct running {
    float *out;               // [KEYS][padded width], sums of p v
    float top[KEYS + LANES];  // largest score so far
    float sum[KEYS + LANES];  // sum of p
};

// Turns a tile's scores [TILE_ROWS][count] into p and brings the running sums to the new top.
static void tile_softmax(float *scores, struct running *run, long row, long count, long height) {
    v16 tops = load(run->top + row), highest = tops, added = {0};
    for (int i = 0; i < TILE_ROWS; i++) {
        v16 top = load(scores + i * KEYS);
        for (long j = LANES; j < count; j += LANES) top = larger(top, load(scores + i * KEYS + j));
        float lane = largest_lane(top);
        highest[i] = lane > highest[i] ? lane : highest[i];
    }
    v16 shrink = exp16(tops - highest);
    for (int i = 0; i < TILE_ROWS; i++) {
        v16 sum = {0}, top = splat(highest[i]), factor = splat(shrink[i]);
        for (long j = 0; j < count; j += LANES) {
            v16 p = exp16(load(scores + i * KEYS + j) - top);
            store(scores + i * KEYS + j, p);
            sum += p;
        }
        added[i] = sum_lanes(sum);
        float *out = run->out + (row + i) * height;
        for (long d = 0; d < height; d += LANES) store(out + d, load(out + d) * factor);
    }
    v16 sums = fused(load(run->sum + row), shrink, added);
    store_part(run->top + row, highest, TILE_ROWS);
    store_part(run->sum + row, sums, TILE_ROWS);
}

// One block of queries (rows q0 ..< q0+rows of the document) against the keys of one block.
static void forward_block(struct running *run, const float *queries, const float *keys, const float *values,
                          const struct dk_attention *s, long length, long q0, long rows, long key) {
    long width = s->head_width, height = padded(length, LANES), out_step = padded(width, LANES);
    _Alignas(64) float scores[TILE_ROWS * KEYS];
    for (long i = 0; i < rows; i += TILE_ROWS) {
        long last = q0 + i + TILE_ROWS - 1, count = least(key + KEYS, last + 1) - key;
        count = least(count, length - key);
        if (count <= 0 || first_key(s, q0 + i) >= key + KEYS) continue;
        long wide = padded(count, LANES);
        tile_scores(scores, queries + i * width, keys + key * width, width, wide);
        if (!sees_all(s, q0 + i, TILE_ROWS, key, wide)) {
            for (long r = 0; r < TILE_ROWS; r++) hide(scores + r * KEYS, s, q0 + i + r, key, wide, -INFINITY);
        }
        tile_softmax(scores, run, i, wide, out_step);
        tile_tokens(run->out + i * out_step, out_step, scores, KEYS, 1, values + key * LANES, height, count, TILE_ROWS,
                    out_step, START_OLD);
    }
}

static void finish_rows(float *out, float *lse, const struct running *run, const struct dk_attention *s, long rows) {
    long width = s->head_width, step = padded(width, LANES);
    for (long i = 0; i < rows; i++) {
        v16 inverse = splat(1 / run->sum[i]);
        for (long d = 0; d < width; d += LANES) {
            store_some(out + i * s->out_stride + d, load(run->out + i * step + d) * inverse, width - d);
        }
        lse[i] = run->top[i] + (float)natural_log((double)run->sum[i]);
    }
}

// Queries q0 ..< q1 of one head of one document. out, q, k, v point at the document's first token and this head; lse at
// its first token.
static void attention_forward(float *out, float *lse, const float *q, const float *k, const float *v,
                              const struct dk_attention *s, long q0, long q1) {
    long width = s->head_width, step = padded(width, LANES);
    long first = first_key(s, q0) / KEYS * KEYS, length = q1 - first;
    long height = padded(length, LANES);
    // 1. Pack the keys and values that these queries see, from the start of a block on.
    size_t floats = (size_t)(height * width + height * step + KEYS * width + KEYS * step + 4 * LANES);
    float *keys = dk_scratch(floats * sizeof(float));
    float *values = keys + height * width, *queries = values + height * step;
    struct running run = {.out = queries + padded(KEYS * width, LANES)};
    pack_keys(keys, k + first * s->kv_stride, s->kv_stride, length, width);
    pack_tokens(values, v + first * s->kv_stride, s->kv_stride, length, width, 1);
    // 2. Block by block of queries over the blocks of keys; the packed keys start at `first`, so both count from there.
    for (long t = q0; t < q1; t += KEYS) {
        long rows = least(KEYS, q1 - t);
        pack_queries(queries, q + t * s->q_stride, s->q_stride, rows, width, s->scale);
        memset(run.out, 0, (size_t)(KEYS * step) * sizeof(float));
        for (int i = 0; i < KEYS + LANES; i++) run.top[i] = NO_SCORE, run.sum[i] = 0;
        for (long key = 0; key <= t - first + rows - 1; key += KEYS) {
            forward_block(&run, queries, keys, values, s, length, t - first, rows, key);
        }
        finish_rows(out + t * s->out_stride, lse + t, &run, s, rows);
    }
}

// One query of one head against `length` keys and values: generation. The last key is the query's own.
static void attention_decode(float *out, const float *q, const float *k, const float *v, const struct dk_attention *s,
                             long length) {
    long width = s->head_width, first = first_key(s, length - 1), step = padded(width, LANES);
    float *scores = dk_scratch((size_t)(padded(length, LANES) + step) * sizeof(float));
    float *sums = scores + padded(length, LANES), top = NO_SCORE, total = 0;
    for (long j = first; j < length; j++) {
        v16 dot = {0};
        for (long d = 0; d < width; d += LANES) {
            dot = fused(load_some(q + d, width - d), load_some(k + j * s->kv_stride + d, width - d), dot);
        }
        scores[j] = sum_lanes(dot) * s->scale;
        top = scores[j] > top ? scores[j] : top;
    }
    memset(sums, 0, (size_t)step * sizeof(float));
    for (long j = first; j < length; j++) {
        float p = exp16(splat(scores[j] - top))[0];
        total += p;
        for (long d = 0; d < width; d += LANES) {
            store(sums + d, fused(splat(p), load_some(v + j * s->kv_stride + d, width - d), load(sums + d)));
        }
    }
    for (long d = 0; d < width; d += LANES) store_some(out + d, load(sums + d) * splat(1 / total), width - d);
}

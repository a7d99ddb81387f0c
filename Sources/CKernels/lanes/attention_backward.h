// attention_backward.h: the gradient of attention.h, one head of one document, scores recomputed tile by tile from the
// kept log-sum-exp. Dao et al. 2022, arXiv:2205.14135, algorithm 4 (without dropout).
// L = document length, hd = head width; blocks of KEYS keys by KEYS queries, both counted from the document's start.
//   p = exp(s - lse[t])           dv[j] = sum_t p dout[t]           delta[t] = dout[t]·out[t]
//   ds = p (dout[t]·v[j] - delta[t])     dq[t] = scale sum_j ds k[j]     dk[j] = scale sum_t ds q[t]
#pragma once
#include "attention.h"

// Everything one head of one document needs, packed once; H = padded(L, 16), W = padded(hd, 16).
struct backward_pack {
    long length;
    float *queries;      // (L, hd) rows, times scale: left side of the scores
    float *douts;        // (L, hd) rows: left side of dout·v
    float *keys;         // panels[hd][16]: right side of the scores
    float *values;       // panels[hd][16]: right side of dout·v
    float *key_tokens;   // panels[H][16], times scale: right side of dq
    float *query_tokens; // panels[H][16], times scale: right side of dk
    float *dout_tokens;  // panels[H][16]: right side of dv
    float *delta;        // (L)
    const float *lse;    // (L)
    float *p;            // (KEYS, KEYS) weights of a pair of blocks, query by key
    float *ds;           // (KEYS, KEYS)
    float *dk;           // (KEYS, W) sums of a block of keys
    float *dv;           // (KEYS, W)
};

// delta of every token, added in the very order of the tiles' dout·v. Where one weight is 1, out is that key's value
// and both sums are the same bits: the slope is 0, not what rounding leaves of it, which AdamW would make a whole step
// of. Uses the room of keys and values.
static void sum_deltas(const struct backward_pack *b, const float *dout, const float *out, long stride, long width) {
    pack_keys(b->keys, dout, stride, b->length, width);
    pack_keys(b->values, out, stride, b->length, width);
    for (long t = 0; t < b->length; t += LANES) {
        v16 sum = {0};
        for (long d = 0; d < width; d++) {
            long at = t * width + d * LANES;
            sum = fused(load(b->keys + at), load(b->values + at), sum);
        }
        store(b->delta + t, sum);
    }
}

static struct backward_pack pack_backward(const float *dout, const float *out, const float *lse, const float *q,
                                          const float *k, const float *v, const struct dk_attention *s, long length) {
    long width = s->head_width, wide = padded(width, LANES), height = padded(length, LANES);
    long rows = padded(padded(length, TILE_ROWS) * width, LANES), panels = height * width, tokens = height * wide;
    size_t floats = (size_t)(2 * rows + 2 * panels + 3 * tokens + height + 2 * KEYS * KEYS + 2 * KEYS * wide);
    float *at = dk_scratch(floats * sizeof(float));
    struct backward_pack b = {.length = length, .lse = lse};
    float **parts[] = {&b.queries, &b.douts, &b.keys, &b.values, &b.key_tokens, &b.query_tokens, &b.dout_tokens,
                       &b.delta, &b.p, &b.ds, &b.dk, &b.dv};
    long sizes[] = {rows, rows, panels, panels, tokens, tokens, tokens, height, KEYS * KEYS, KEYS * KEYS, KEYS * wide,
                    KEYS * wide};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; at += sizes[i++]) *parts[i] = at;

    sum_deltas(&b, dout, out, s->out_stride, width);
    pack_queries(b.queries, q, s->q_stride, length, width, s->scale);
    pack_queries(b.douts, dout, s->out_stride, length, width, 1);
    pack_keys(b.keys, k, s->kv_stride, length, width);
    pack_keys(b.values, v, s->kv_stride, length, width);
    pack_tokens(b.key_tokens, k, s->kv_stride, length, width, s->scale);
    pack_tokens(b.query_tokens, q, s->q_stride, length, width, s->scale);
    pack_tokens(b.dout_tokens, dout, s->out_stride, length, width, 1);
    return b;
}

// p and ds of a tile of queries (rows t ... of the document) and `count` keys from `key` on; zero where unseen.
static void tile_weights(float *p, float *ds, const struct backward_pack *b, const struct dk_attention *s, long t,
                         long rows, long key, long count) {
    long width = s->head_width;
    tile_scores(p, b->queries + t * width, b->keys + key * width, width, count);
    tile_scores(ds, b->douts + t * width, b->values + key * width, width, count);
    int all = sees_all(s, t, rows, key, count);
    for (long r = 0; r < rows; r++) {
        float *scores = p + r * KEYS, *slopes = ds + r * KEYS;
        if (!all) hide(scores, s, t + r, key, count, -INFINITY);
        v16 lse = splat(b->lse[t + r]), delta = splat(b->delta[t + r]);
        for (long j = 0; j < count; j += LANES) {
            v16 weight = exp16(load(scores + j) - lse);
            store(scores + j, weight);
            store(slopes + j, weight * (load(slopes + j) - delta));
        }
        memset(scores + count, 0, (size_t)(KEYS - count) * sizeof(float));
        memset(slopes + count, 0, (size_t)(KEYS - count) * sizeof(float));
    }
}

// One pair of blocks: queries t0 ..., keys key0 .... Adds to dq (rows of the document) and to the block's dk and dv.
static void backward_pair(float *dq, const struct backward_pack *b, const struct dk_attention *s, long t0, long key0,
                          int start) {
    long rows = least(KEYS, b->length - t0), keys = least(KEYS, b->length - key0);
    long width = s->head_width, wide = padded(width, LANES), height = padded(b->length, LANES);
    // 1. Weights and slopes, and with them dq.
    for (long i = 0; i < rows; i += TILE_ROWS) {
        long t = t0 + i, here = least(TILE_ROWS, rows - i), count = least(keys, t + TILE_ROWS - key0);
        tile_weights(b->p + i * KEYS, b->ds + i * KEYS, b, s, t, here, key0, padded(count, LANES));
        tile_tokens(dq + t * s->dq_stride, s->dq_stride, b->ds + i * KEYS, KEYS, 1, b->key_tokens + key0 * LANES,
                    height, count, here, width, start);
    }
    // 2. Sums over the queries; in the block on the diagonal a tile of keys is seen by the queries from its own first
    // on.
    for (long j = 0; j < keys; j += TILE_ROWS) {
        long skip = t0 == key0 ? j : 0;
        const float *p = b->p + skip * KEYS + j, *ds = b->ds + skip * KEYS + j;
        long at = (t0 + skip) * LANES, k = rows - skip;
        tile_tokens(b->dv + j * wide, wide, p, 1, KEYS, b->dout_tokens + at, height, k, TILE_ROWS, wide, START_OLD);
        tile_tokens(b->dk + j * wide, wide, ds, 1, KEYS, b->query_tokens + at, height, k, TILE_ROWS, wide, START_OLD);
    }
}

static void unpack_rows(float *out, long stride, const float *rows, long count, long width) {
    long step = padded(width, LANES);
    for (long t = 0; t < count; t++) memcpy(out + t * stride, rows + t * step, (size_t)width * sizeof(float));
}

// All gradients of one query head of one document; the pointers are at the document's first token and this head, lse at
// its first token. dk and dv receive this query head's share.
static void attention_backward(float *dq, float *dk, float *dv, const float *dout, const float *out, const float *lse,
                               const float *q, const float *k, const float *v, const struct dk_attention *s,
                               long length) {
    struct backward_pack b = pack_backward(dout, out, lse, q, k, v, s, length);
    size_t block = (size_t)(KEYS * padded(s->head_width, LANES)) * sizeof(float);
    for (long key = 0; key < length; key += KEYS) {
        memset(b.dk, 0, block);
        memset(b.dv, 0, block);
        long end = s->window > 0 ? least(length, key + KEYS - 1 + s->window) : length;  // first query that sees none
        for (long t = key; t < end; t += KEYS) {
            int first = first_key(s, t) / KEYS * KEYS == key;
            backward_pair(dq, &b, s, t, key, first ? START_NONE : START_OLD);
        }
        unpack_rows(dk + key * s->dkv_stride, s->dkv_stride, b.dk, least(KEYS, length - key), s->head_width);
        unpack_rows(dv + key * s->dkv_stride, s->dkv_stride, b.dv, least(KEYS, length - key), s->head_width);
    }
}

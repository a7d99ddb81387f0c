// attention_reference.c: causal attention inside documents, scores of one query row at a time, sums in fp64.
// T = tokens, Hq query heads, Hkv key and value heads, hd = head width. q, out: (T, Hq, hd); k, v: (T, Hkv, hd);
// lse: (Hq, T) = log of the sum of exp of the scaled scores. Query head h reads key head h / (Hq / Hkv).
//   s[t,j] = scale * q[t]·k[j]    p[t,j] = exp(s[t,j] - lse[t])    out[t] = sum_j p[t,j] v[j],   first(t) <= j <= t
//   dp[t,j] = dout[t]·v[j]        ds = p * (dp - dout[t]·out[t])
//   dq[t] = scale * sum_j ds k[j]   dk[j] += scale * ds q[t]      dv[j] += p dout[t]
#include "ckernels_reference.h"
#include <math.h>
#include <string.h>

static double dot(const float *a, const float *b, long n) {
    double sum = 0;
    for (long i = 0; i < n; i++) sum += (double)a[i] * b[i];
    return sum;
}

// First position that query t of a document starting at `start` sees.
static long first_key(const struct dk_attention *shape, long start, long t) {
    long first = shape->window > 0 ? t - shape->window + 1 : start;
    return first > start ? first : start;
}

static long key_head(const struct dk_attention *shape, long h) { return h / (shape->heads / shape->kv_heads); }

static void forward_row(float *out, float *lse, const float *q, const float *k, const float *v,
                        const struct dk_attention *s, long first, long t) {
    double top = -INFINITY, sum = 0;
    for (long j = first; j <= t; j++) top = fmax(top, s->scale * dot(q, k + j * s->kv_stride, s->head_width));
    for (long j = first; j <= t; j++) sum += exp(s->scale * dot(q, k + j * s->kv_stride, s->head_width) - top);
    *lse = (float)(top + log(sum));
    for (long d = 0; d < s->head_width; d++) {
        double value = 0;
        for (long j = first; j <= t; j++) {
            value += exp(s->scale * dot(q, k + j * s->kv_stride, s->head_width) - top) * v[j * s->kv_stride + d];
        }
        out[d] = (float)(value / sum);
    }
}

void dk_attention_f32_reference(float *out, float *lse, const float *q, const float *k, const float *v,
                                const struct dk_attention *s, const int32_t *documents, long document_count,
                                long rows) {
    for (long document = 0; document < document_count; document++) {
        long start = documents[document], end = document + 1 < document_count ? documents[document + 1] : rows;
        for (long h = 0; h < s->heads; h++) {
            long at = key_head(s, h) * s->head_width;
            for (long t = start; t < end; t++) {
                forward_row(out + t * s->out_stride + h * s->head_width, lse + h * rows + t,
                            q + t * s->q_stride + h * s->head_width, k + at, v + at, s, first_key(s, start, t), t);
            }
        }
    }
}

void dk_attention_f32_decode_reference(float *out, const float *q, const float *keys, const float *values,
                                       const struct dk_attention *s, long length) {
    for (long h = 0; h < s->heads; h++) {
        long own = h * s->head_width, at = key_head(s, h) * s->head_width;
        float lse;
        forward_row(out + own, &lse, q + own, keys + at, values + at, s, first_key(s, 0, length - 1), length - 1);
    }
}

static void backward_row(float *dq, float *dk, float *dv, const float *dout, const float *out, double lse,
                         const float *q, const float *k, const float *v, const struct dk_attention *s, long first,
                         long t) {
    double delta = dot(dout, out, s->head_width);
    for (long j = first; j <= t; j++) {
        const float *key = k + j * s->kv_stride, *value = v + j * s->kv_stride;
        float *dkey = dk + j * s->dkv_stride, *dvalue = dv + j * s->dkv_stride;
        double p = exp(s->scale * dot(q, key, s->head_width) - lse);
        double ds = s->scale * p * (dot(dout, value, s->head_width) - delta);
        for (long d = 0; d < s->head_width; d++) {
            dq[d] += (float)(ds * key[d]);
            dkey[d] += (float)(ds * q[d]);
            dvalue[d] += (float)(p * dout[d]);
        }
    }
}

void dk_attention_f32_backward_reference(float *dq, float *dk, float *dv, const float *dout, const float *out,
                                         const float *lse, const float *q, const float *k, const float *v,
                                         const struct dk_attention *s, const int32_t *documents,
                                         long document_count, long rows) {
    for (long t = 0; t < rows; t++) {
        memset(dq + t * s->dq_stride, 0, sizeof(float) * (size_t)(s->heads * s->head_width));
        memset(dk + t * s->dkv_stride, 0, sizeof(float) * (size_t)(s->kv_heads * s->head_width));
        memset(dv + t * s->dkv_stride, 0, sizeof(float) * (size_t)(s->kv_heads * s->head_width));
    }
    for (long document = 0; document < document_count; document++) {
        long start = documents[document], end = document + 1 < document_count ? documents[document + 1] : rows;
        for (long h = 0; h < s->heads; h++) {
            long at = key_head(s, h) * s->head_width, own = h * s->head_width;
            for (long t = start; t < end; t++) {
                backward_row(dq + t * s->dq_stride + own, dk + at, dv + at, dout + t * s->out_stride + own,
                             out + t * s->out_stride + own, lse[h * rows + t], q + t * s->q_stride + own, k + at,
                             v + at, s, first_key(s, start, t), t);
            }
        }
    }
}

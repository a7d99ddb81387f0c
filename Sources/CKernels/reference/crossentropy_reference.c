// crossentropy_reference.c: linear head and cross-entropy, one row at a time, logits recomputed instead of kept.
// T = tokens, D = width, V = vocabulary. h, dh: (T, D).  head, dhead: (V, D).  bias, dbias: (V).  targets: (T), -1 =
// untrained.
//   z[v] = h[t]·head[v] + bias[v]   loss[t] = log(sum_v exp z[v]) - z[target]   dz[v] = softmax(z)[v] - [v = target]
#include "ckernels_reference.h"
#include <math.h>
#include <string.h>

static double logit(const float *h, const float *head, const float *bias, long width, long v) {
    double sum = bias ? bias[v] : 0;
    for (long d = 0; d < width; d++) sum += (double)h[d] * head[v * width + d];
    return sum;
}

static double log_sum_exp(const float *h, const float *head, const float *bias, long width, long vocabulary) {
    double top = -INFINITY, sum = 0;
    for (long v = 0; v < vocabulary; v++) top = fmax(top, logit(h, head, bias, width, v));
    for (long v = 0; v < vocabulary; v++) sum += exp(logit(h, head, bias, width, v) - top);
    return top + log(sum);
}

double dk_crossentropy_f32_reference(const float *h, const float *head, const float *bias, const int32_t *targets,
                                     long rows, long width, long vocabulary, float *dh, float *dhead, float *dbias,
                                     float *losses) {
    double total = 0;
    if (dh) memset(dh, 0, sizeof(float) * (size_t)(rows * width));
    if (losses) memset(losses, 0, sizeof(float) * (size_t)rows);
    for (long t = 0; t < rows; t++) {
        if (targets[t] < 0) continue;
        const float *row = h + t * width;
        double lse = log_sum_exp(row, head, bias, width, vocabulary);
        double loss = lse - logit(row, head, bias, width, targets[t]);
        total += loss;
        if (losses) losses[t] = (float)loss;
        if (!dh && !dhead && !dbias) continue;
        for (long v = 0; v < vocabulary; v++) {
            double dz = exp(logit(row, head, bias, width, v) - lse) - (v == targets[t]);
            if (dbias) dbias[v] += (float)dz;
            for (long d = 0; d < width; d++) {
                if (dh) dh[t * width + d] += (float)(dz * head[v * width + d]);
                if (dhead) dhead[v * width + d] += (float)(dz * row[d]);
            }
        }
    }
    return total;
}

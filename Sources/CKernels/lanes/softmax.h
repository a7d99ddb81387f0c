// softmax.h: cross-entropy over rows of logits. V = vocabulary.
//   loss = log(sum_v exp z[v]) - z[target];   dz[v] = exp(z[v]) / sum - [v = target]
#pragma once
#include "norms.h"

// One row of logits becomes its gradient (if asked); returns the loss.
static double softmax_row(float *z, long target, long vocabulary, int gradient) {
    v16 tops[4], sums[4] = {{0}};
    for (int i = 0; i < 4; i++) tops[i] = splat(-INFINITY);
    FOR_ROW(vocabulary) {
        v16 x = n >= LANES ? load(z + at) : choose(only(splat(1), n) != 0, load_part(z + at, n), splat(-INFINITY));
        tops[lane] = larger(tops[lane], x);
    }
    float top = largest_lane(larger(larger(tops[0], tops[1]), larger(tops[2], tops[3])));
    float wanted = z[target];
    FOR_ROW(vocabulary) {
        v16 e = only(exp16(load_some(z + at, n) - splat(top)), n);
        sums[lane] += e;
        if (gradient) store_some(z + at, e, n);
    }
    float sum = sum_chunks(sums);
    if (gradient) {
        v16 inverse = splat(1 / sum);
        FOR_ROW(vocabulary) store_some(z + at, load_some(z + at, n) * inverse, n);
        z[target] -= 1;
    }
    return natural_log((double)sum) + (double)top - (double)wanted;
}

// losses[rows] of logits[rows, vocabulary], rows `step` floats apart; with `gradient` the logits become gradients.
static void softmax_rows(double *losses, float *logits, const int32_t *targets, long rows, long step, long vocabulary,
                         int gradient) {
    for (long t = 0; t < rows; t++) losses[t] = softmax_row(logits + t * step, targets[t], vocabulary, gradient);
}

// adamw_reference.c: one AdamW update. Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2; arithmetic as
// PyTorch's. p, m, v, g: (N). The constants are explained at struct dk_adamw.
#include "ckernels.h"
#include "ckernels_reference.h"
#include <math.h>
#include <string.h>

double dk_sum_of_squares_f32_reference(const float *g, long count) {
    double sum = 0;
    for (long i = 0; i < count; i++) sum += (double)g[i] * g[i];
    return sum;
}

void dk_adamw_f32_reference(float *p, float *m, float *v, const float *g, long count, const struct dk_adamw *s,
                            int decay) {
    for (long i = 0; i < count; i++) {
        float gradient = g[i] * s->scale;
        float weight = decay ? p[i] * s->keep : p[i];
        m[i] = s->beta1 * m[i] + s->rest1 * gradient;
        v[i] = s->beta2 * v[i] + s->rest2 * gradient * gradient;
        p[i] = weight - s->rate * m[i] / (sqrtf(v[i]) * s->root + s->epsilon);
    }
}

// The digest finds differences between replicas; it is no defence against an enemy.
// 1. Per block of 4096 elements (the last one may be shorter) and per tensor, element i enters lane i mod 16 by
//    lane = (rotl(lane, 5) ^ bits) * odd.  2. The 48 lanes are folded into 64 bits, lane by lane, p, m, v in turn.
// 3. Blocks are folded in index order, and the element count at the end.
static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

static uint64_t block_digest(const float *tensors[3], long count) {
    uint32_t lanes[3][16] = {{0}};
    for (int tensor = 0; tensor < 3; tensor++) {
        for (long i = 0; i < count; i++) {
            uint32_t *lane = &lanes[tensor][i % 16];
            *lane = ((*lane << 5 | *lane >> 27) ^ bits_of(tensors[tensor][i])) * 0x9e3779b1u;
        }
    }
    uint64_t digest = 0;
    for (int lane = 0; lane < 16; lane++) {
        for (int tensor = 0; tensor < 3; tensor++) digest = dk_digest_fold(digest, lanes[tensor][lane]);
    }
    return digest;
}

uint64_t dk_state_digest_reference(const float *p, const float *m, const float *v, long count) {
    uint64_t digest = 0;
    for (long start = 0; start < count; start += 4096) {
        const float *tensors[3] = {p + start, m + start, v + start};
        digest = dk_digest_fold(digest, block_digest(tensors, count - start < 4096 ? count - start : 4096));
    }
    return dk_digest_fold(digest, (uint64_t)count);
}

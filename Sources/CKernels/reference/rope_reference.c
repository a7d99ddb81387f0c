// rope_reference.c: rotary position embedding in place. Su et al. 2021, arXiv:2104.09864, §3.4.2.
// x: (T, H, hd), of which the first `rotary` dimensions turn.  cosines, sines: (positions, rotary / 2).
//   (a, b) -> (a cos - b sin, b cos + a sin), for the pair i: (2i, 2i+1) interleaved, (i, i + rotary/2) else.
#include "ckernels_reference.h"

void dk_rope_f32_reference(float *x, const int32_t *positions, const float *cosines, const float *sines, long rows,
                           long heads, long head_width, long rotary, int interleaved, int inverse) {
    long half = rotary / 2;
    for (long t = 0; t < rows; t++) {
        for (long h = 0; h < heads; h++) {
            float *head = x + (t * heads + h) * head_width;
            for (long i = 0; i < half; i++) {
                float c = cosines[positions[t] * half + i], s = sines[positions[t] * half + i];
                float *first = head + (interleaved ? 2 * i : i), *second = head + (interleaved ? 2 * i + 1 : i + half);
                float a = *first, b = *second;
                if (inverse) s = -s;
                *first = a * c - b * s;
                *second = b * c + a * s;
            }
        }
    }
}

// sha256_sixteen.c: the compression function for sixteen messages, one in each 32-bit lane of a 512-bit register; see
// Gueron and Krasnov, "Simultaneous hashing of multiple messages" (2012).
#include "chashing.h"
#include "constants.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw")))

int ch_has_sixteen(void) { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"); }

// One block of each message in `rows` becomes word `t` of all messages in `rows[t]`: a transposed 16×16 matrix.
TARGET static inline __attribute__((always_inline)) void transpose(__m512i rows[16]) {
    __m512i turned[16];
    for (int i = 0; i < 16; i += 2) {
        turned[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        turned[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        rows[i] = _mm512_unpacklo_epi64(turned[i], turned[i + 2]);
        rows[i + 1] = _mm512_unpackhi_epi64(turned[i], turned[i + 2]);
        rows[i + 2] = _mm512_unpacklo_epi64(turned[i + 1], turned[i + 3]);
        rows[i + 3] = _mm512_unpackhi_epi64(turned[i + 1], turned[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        turned[i] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0x88);
        turned[i + 4] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0xdd);
        turned[i + 8] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0x88);
        turned[i + 12] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        rows[i] = _mm512_shuffle_i32x4(turned[i], turned[i + 8], 0x88);
        rows[i + 4] = _mm512_shuffle_i32x4(turned[i + 4], turned[i + 12], 0x88);
        rows[i + 8] = _mm512_shuffle_i32x4(turned[i], turned[i + 8], 0xdd);
        rows[i + 12] = _mm512_shuffle_i32x4(turned[i + 4], turned[i + 12], 0xdd);
    }
}

// The truth tables of x ^ y ^ z, Ch and Maj (FIPS 180-4, §4.1.2).
enum { PARITY = 0x96, CHOICE = 0xca, MAJORITY = 0xe8 };

#define ADD(x, y) _mm512_add_epi32(x, y)
#define TURN(x, bits) _mm512_ror_epi32(x, bits)
#define OF(table, x, y, z) _mm512_ternarylogic_epi32(x, y, z, table)

TARGET void ch_sha256_sixteen(
    uint32_t states[8 * 16], const uint8_t *const data[16], uint8_t *const copies[16], size_t blocks
) {
    const __m512i swap = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL));
    __m512i state[8];
    for (int i = 0; i < 8; i++) state[i] = _mm512_loadu_si512(states + 16 * i);
    for (size_t block = 0; block < blocks; block++) {
        __m512i words[16];
#pragma clang loop unroll(full)
        for (int lane = 0; lane < 16; lane++) {
            const uint8_t *place = data[lane] + 64 * block;
            __m512i bytes = _mm512_loadu_si512(place);
            // Past the caches: what is copied is not looked at again soon.
            if (copies[lane]) _mm512_stream_si512((__m512i *)(copies[lane] + 64 * block), bytes);
            words[lane] = _mm512_shuffle_epi8(bytes, swap);
            // Sixteen streams are more than some processors look ahead in.
            _mm_prefetch((const char *)place + 512, _MM_HINT_T0);
        }
        transpose(words);
        __m512i a = state[0], b = state[1], c = state[2], d = state[3];
        __m512i e = state[4], f = state[5], g = state[6], h = state[7];
#pragma clang loop unroll(full)
        for (int round = 0; round < 64; round++) {
            __m512i *word = &words[round & 15];
            if (round >= 16) {
                __m512i x = words[(round + 1) & 15], y = words[(round + 14) & 15];
                __m512i early = OF(PARITY, TURN(x, 7), TURN(x, 18), _mm512_srli_epi32(x, 3));
                __m512i late = OF(PARITY, TURN(y, 17), TURN(y, 19), _mm512_srli_epi32(y, 10));
                *word = ADD(ADD(*word, early), ADD(words[(round + 9) & 15], late));
            }
            __m512i known = ADD(h, ADD(*word, _mm512_set1_epi32((int)constants[round])));
            __m512i sum = ADD(known, OF(CHOICE, e, f, g));
            sum = ADD(sum, OF(PARITY, TURN(e, 6), TURN(e, 11), TURN(e, 25)));
            __m512i other = ADD(OF(PARITY, TURN(a, 2), TURN(a, 13), TURN(a, 22)), OF(MAJORITY, a, b, c));
            h = g, g = f, f = e, e = ADD(d, sum);
            d = c, c = b, b = a, a = ADD(sum, other);
        }
        state[0] = ADD(state[0], a), state[1] = ADD(state[1], b), state[2] = ADD(state[2], c);
        state[3] = ADD(state[3], d), state[4] = ADD(state[4], e), state[5] = ADD(state[5], f);
        state[6] = ADD(state[6], g), state[7] = ADD(state[7], h);
    }
    for (int i = 0; i < 8; i++) _mm512_storeu_si512(states + 16 * i, state[i]);
    _mm_sfence();
}

#else

int ch_has_sixteen(void) { return 0; }
void ch_sha256_sixteen(
    uint32_t states[8 * 16], const uint8_t *const data[16], uint8_t *const copies[16], size_t blocks
) {
    (void)states, (void)data, (void)copies, (void)blocks;
}

#endif

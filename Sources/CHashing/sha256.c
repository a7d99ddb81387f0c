// sha256.c: the compression function for one and for two messages; see Gulley et al., "Intel SHA Extensions" (2013).
#include "chashing.h"
#include "constants.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

int ch_has_sha256(void) {
    unsigned a, b, c, d;
    // __builtin_cpu_supports has no name for it everywhere.
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA)
        && __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
}

// Written once for any number of messages; each caller gives it as a constant, so that the loops over them unroll.
__attribute__((target("sha,sse4.1,ssse3"), always_inline)) static inline void
work(int messages, uint32_t *const states[], const uint8_t *const data[], size_t blocks) {
    const __m128i turn = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    // The instructions want the state as ABEF and CDGH, highest word first.
    __m128i abef[2], cdgh[2];
    for (int m = 0; m < messages; m++) {
        __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)&states[m][0]), 0xB1);
        __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)&states[m][4]), 0x1B);
        abef[m] = _mm_alignr_epi8(low, high, 8);
        cdgh[m] = _mm_blend_epi16(high, low, 0xF0);
    }
    for (size_t block = 0; block < blocks; block++) {
        __m128i words[2][4], first[2], second[2];
        for (int m = 0; m < messages; m++) {
            first[m] = abef[m];
            second[m] = cdgh[m];
            for (int part = 0; part < 4; part++) {
                const uint8_t *place = data[m] + 64 * block + 16 * part;
                words[m][part] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)place), turn);
            }
        }
        // Four rounds at a time; `words` holds the schedule W of the 16 rounds from here on.
#pragma clang loop unroll(full)
        for (int group = 0; group < 16; group++) {
            const __m128i added = _mm_load_si128((const __m128i *)&constants[4 * group]);
            for (int m = 0; m < messages; m++) {
                __m128i *now = &words[m][group & 3], last = words[m][(group + 3) & 3];
                __m128i sum = _mm_add_epi32(*now, added);
                cdgh[m] = _mm_sha256rnds2_epu32(cdgh[m], abef[m], sum);
                abef[m] = _mm_sha256rnds2_epu32(abef[m], cdgh[m], _mm_shuffle_epi32(sum, 0x0E));
                if (group >= 12) continue;
                __m128i next = _mm_sha256msg1_epu32(*now, words[m][(group + 1) & 3]);
                next = _mm_add_epi32(next, _mm_alignr_epi8(last, words[m][(group + 2) & 3], 4));
                *now = _mm_sha256msg2_epu32(next, last);
            }
        }
        for (int m = 0; m < messages; m++) {
            abef[m] = _mm_add_epi32(abef[m], first[m]);
            cdgh[m] = _mm_add_epi32(cdgh[m], second[m]);
        }
    }
    for (int m = 0; m < messages; m++) {
        __m128i low = _mm_shuffle_epi32(abef[m], 0x1B), high = _mm_shuffle_epi32(cdgh[m], 0xB1);
        _mm_storeu_si128((__m128i *)&states[m][0], _mm_blend_epi16(low, high, 0xF0));
        _mm_storeu_si128((__m128i *)&states[m][4], _mm_alignr_epi8(high, low, 8));
    }
}

__attribute__((target("sha,sse4.1,ssse3"))) void ch_sha256(uint32_t state[8], const uint8_t *data, size_t blocks) {
    work(1, &state, &data, blocks);
}

__attribute__((target("sha,sse4.1,ssse3"))) void
ch_sha256_two(uint32_t *const states[2], const uint8_t *const data[2], size_t blocks) {
    work(2, states, data, blocks);
}

#else

int ch_has_sha256(void) { return 0; }
void ch_sha256(uint32_t state[8], const uint8_t *data, size_t blocks) { (void)state, (void)data, (void)blocks; }
void ch_sha256_two(uint32_t *const states[2], const uint8_t *const data[2], size_t blocks) {
    (void)states, (void)data, (void)blocks;
}

#endif

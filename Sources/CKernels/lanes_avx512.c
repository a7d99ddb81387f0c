// lanes_avx512.c: the kernels for x86-64 with AVX-512 (F, BW, DQ, VL): a vector is one register, of 32.
#if defined(__x86_64__)
#define LANES_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#pragma clang attribute push(LANES_TARGET, apply_to = function)
#define LANES_WIDE 1
#define LANES_TABLE dk_kernels_avx512
#include "lanes/table.h"
#pragma clang attribute pop
#endif

// lanes_avx2.c: the kernels for x86-64 with AVX2 and FMA (Haswell, Zen and newer): a vector is two registers.
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define LANES_TABLE dk_kernels_avx2
#include "lanes/table.h"
#pragma clang attribute pop
#endif

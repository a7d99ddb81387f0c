// dispatch.c: which level of the kernels this machine can run.
#include "ckernels.h"

extern const struct dk_kernels dk_kernels_portable;
#if defined(__x86_64__)
extern const struct dk_kernels dk_kernels_avx2;
extern const struct dk_kernels dk_kernels_avx512;
#endif

const struct dk_kernels *dk_kernels_at(enum dk_level level) {
    if (level == dk_level_portable) return &dk_kernels_portable;
#if defined(__x86_64__)
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    int avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (level == dk_level_avx2 && avx2) return &dk_kernels_avx2;
    if (level == dk_level_avx512 && avx2 && avx512) return &dk_kernels_avx512;
#endif
    return NULL;
}

enum dk_level dk_best_level(void) {
    if (dk_kernels_at(dk_level_avx512)) return dk_level_avx512;
    if (dk_kernels_at(dk_level_avx2)) return dk_level_avx2;
    return dk_level_portable;
}

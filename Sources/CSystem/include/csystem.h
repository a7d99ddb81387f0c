// Calls of Linux that Swift can't make because they take variable arguments.
#pragma once

// Makes the kernel kill this process when the thread that started it ends, however it ends. 0 = done, else errno.
// The caller then checks that its parent is still the one that started it: it may have died before.
int csys_die_with_parent(void);

// 1 when the processor and the operating system run AVX-512 F, BW, DQ, VL and CD; 0 otherwise.
int csys_has_avx512(void);

// 1 when the processor and the operating system run AVX2 and FMA; 0 otherwise.
int csys_has_avx2(void);

// lanes_portable.c: the kernels for the machine's baseline: NEON on aarch64, and right (but slow) everywhere else.
#define LANES_TABLE dk_kernels_portable
#include "lanes/table.h"

// shim.h: the part of OpenBLAS that Drover calls (fp32 matrix products and thread control), from the library's own
// header.
#pragma once
#include <cblas.h>

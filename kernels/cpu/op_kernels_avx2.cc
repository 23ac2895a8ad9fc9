// The inner loops compiled for avx2 (flags in CMakeLists.txt).
#include "kernels/cpu/op_kernels_variant.h"

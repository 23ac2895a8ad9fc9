// The inner loops compiled for avx512 (flags in CMakeLists.txt).
#include "kernels/cpu/op_kernels_variant.h"

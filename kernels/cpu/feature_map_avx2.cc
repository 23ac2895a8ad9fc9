// The feature maps compiled for avx2 (flags in CMakeLists.txt).
#include "kernels/cpu/feature_map_variant.h"

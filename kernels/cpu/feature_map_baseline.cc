// The feature maps compiled for baseline (flags in CMakeLists.txt).
#include "kernels/cpu/feature_map_variant.h"

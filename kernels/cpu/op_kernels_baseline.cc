// The inner loops compiled for baseline (see vector.h).
#include "kernels/cpu/op_kernels_variant.h"

#pragma once

// Everything a kernel is written with. Each header has a native form (PTX) and
// an emulated one of the same meaning; docs/kernels.md shows how to use them.

#include "kernels/cuda/device/barrier.h"        // IWYU pragma: export
#include "kernels/cuda/device/bf16.h"           // IWYU pragma: export
#include "kernels/cuda/device/copy_async.h"     // IWYU pragma: export
#include "kernels/cuda/device/fast_math.h"      // IWYU pragma: export
#include "kernels/cuda/device/index.h"          // IWYU pragma: export
#include "kernels/cuda/device/launch.h"         // IWYU pragma: export
#include "kernels/cuda/device/load_matrix.h"    // IWYU pragma: export
#include "kernels/cuda/device/mma.h"            // IWYU pragma: export
#include "kernels/cuda/device/qualifiers.h"     // IWYU pragma: export
#include "kernels/cuda/device/shared_atomic.h"  // IWYU pragma: export
#include "kernels/cuda/device/shared_memory.h"  // IWYU pragma: export
#include "kernels/cuda/device/shuffle.h"        // IWYU pragma: export
#include "kernels/cuda/device/swizzle.h"        // IWYU pragma: export
#include "kernels/cuda/device/vector_access.h"  // IWYU pragma: export
#include "kernels/cuda/device/warp_reduce.h"    // IWYU pragma: export

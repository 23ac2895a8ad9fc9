// How a test of CUDA's kernels was started: on the emulator by ctest, or on a
// GPU by tests/gpu/run. One source serves both (longspan_cuda_test).
#pragma once

#include <cstdint>

namespace longspan {

enum class ShapeSize { kSmall, kLarge };

// Whether this program is the one for GPUs: its name ends in "_gpu".
bool OnGpu();

// LONGSPAN_GPU_SHAPES=small|large; unset: large on a GPU, small on the
// emulator. Any other value ends the program.
ShapeSize Shapes();

// Seed of random inputs: LONGSPAN_TEST_SEED, or 1. tests/gpu/run draws a fresh
// one each time. Print it with what failed.
uint64_t TestSeed();

}  // namespace longspan

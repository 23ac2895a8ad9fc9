#pragma once

#include <cstdint>

// What the collectives of a warp compute, from all lanes' operands: the
// definitions of the PTX ISA in plain C++ (kernels/cuda/device/load_matrix.h
// and mma.h state them).

namespace longspan::kernels::cuda::emulated {

inline constexpr int kLanes = 32;

struct ShuffleOperand {
  uint64_t value;
  int source;
  uint64_t result;
};

struct ReduceOperand {
  float value;
};

struct BallotOperand {
  bool value;
  uint32_t result;
};

struct LoadMatrixOperand {
  uint32_t* registers;
  const void* row;  // of this lane
};

struct MmaOperand {
  float* d;           // [4]
  const uint32_t* a;  // [4]
  const uint32_t* b;  // [2]
};

// `lanes` are the 32 lanes' operands, of the type that the name says.
void ApplyShuffle(void* const* lanes);
void ApplyWarpSum(void* const* lanes);
void ApplyWarpMax(void* const* lanes);
void ApplyBallot(void* const* lanes);
void ApplyLoadMatrix2(void* const* lanes);
void ApplyLoadMatrix4(void* const* lanes);
void ApplyLoadMatrix2Transposed(void* const* lanes);
void ApplyLoadMatrix4Transposed(void* const* lanes);
// Products are exact; d, then k = 0 to 15 are added in this order in f32.
void ApplyMmaBf16(void* const* lanes);

// How many more passes than one each the `count` matrices take, because rows
// of one matrix share groups of four banks.
int BankConflicts(void* const* lanes, int count);

}  // namespace longspan::kernels::cuda::emulated

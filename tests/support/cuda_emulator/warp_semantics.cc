#include "tests/support/cuda_emulator/warp_semantics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace longspan::kernels::cuda::emulated {
namespace {

template <typename Operand>
Operand& Of(void* const* lanes, int lane) {
  return *static_cast<Operand*>(lanes[lane]);
}

template <typename Combine>
void Butterfly(void* const* lanes, Combine combine) {
  float values[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) {
    values[lane] = Of<ReduceOperand>(lanes, lane).value;
  }
  for (int distance = kLanes / 2; distance > 0; distance /= 2) {
    float next[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {
      next[lane] = combine(values[lane], values[lane ^ distance]);
    }
    std::copy(next, next + kLanes, values);
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    Of<ReduceOperand>(lanes, lane).value = values[lane];
  }
}

template <int kCount, bool kTransposed>
void LoadMatrices(void* const* lanes) {
  for (int matrix = 0; matrix < kCount; ++matrix) {
    uint16_t rows[8][8];
    for (int row = 0; row < 8; ++row) {
      std::memcpy(rows[row], Of<LoadMatrixOperand>(lanes, 8 * matrix + row).row,
                  16);
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      const int i = lane / 4;
      const int j = 2 * (lane % 4);
      const uint32_t low = kTransposed ? rows[j][i] : rows[i][j];
      const uint32_t high = kTransposed ? rows[j + 1][i] : rows[i][j + 1];
      Of<LoadMatrixOperand>(lanes, lane).registers[matrix] = low | high << 16;
    }
  }
}

float Low(uint32_t pair) { return std::bit_cast<float>(pair << 16); }
float High(uint32_t pair) { return std::bit_cast<float>(pair & 0xFFFF0000u); }

struct MmaTiles {
  float a[16][16];
  float b[16][8];
  float d[16][8];
};

void GatherTiles(void* const* lanes, MmaTiles& tiles) {
  for (int lane = 0; lane < kLanes; ++lane) {
    const MmaOperand& operand = Of<MmaOperand>(lanes, lane);
    const int g = lane / 4;
    const int t = 2 * (lane % 4);
    for (int i = 0; i < 4; ++i) {
      const int row = g + 8 * (i % 2);
      const int column = t + 8 * (i / 2);
      tiles.a[row][column] = Low(operand.a[i]);
      tiles.a[row][column + 1] = High(operand.a[i]);
    }
    for (int i = 0; i < 2; ++i) {
      tiles.b[t + 8 * i][g] = Low(operand.b[i]);
      tiles.b[t + 8 * i + 1][g] = High(operand.b[i]);
    }
    for (int i = 0; i < 4; ++i) {
      tiles.d[g + 8 * (i / 2)][t + i % 2] = operand.d[i];
    }
  }
}

void ScatterResult(void* const* lanes, const MmaTiles& tiles) {
  for (int lane = 0; lane < kLanes; ++lane) {
    float* d = Of<MmaOperand>(lanes, lane).d;
    const int g = lane / 4;
    const int t = 2 * (lane % 4);
    for (int i = 0; i < 4; ++i) {
      d[i] = tiles.d[g + 8 * (i / 2)][t + i % 2];
    }
  }
}

}  // namespace

void ApplyShuffle(void* const* lanes) {
  for (int lane = 0; lane < kLanes; ++lane) {
    ShuffleOperand& operand = Of<ShuffleOperand>(lanes, lane);
    operand.result = Of<ShuffleOperand>(lanes, operand.source).value;
  }
}

void ApplyWarpSum(void* const* lanes) {
  Butterfly(lanes, [](float a, float b) { return a + b; });
}

void ApplyWarpMax(void* const* lanes) {
  Butterfly(lanes, [](float a, float b) { return std::fmax(a, b); });
}

void ApplyBallot(void* const* lanes) {
  uint32_t mask = 0;
  for (int lane = 0; lane < kLanes; ++lane) {
    mask |= uint32_t{Of<BallotOperand>(lanes, lane).value} << lane;
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    Of<BallotOperand>(lanes, lane).result = mask;
  }
}

void ApplyLoadMatrix2(void* const* lanes) { LoadMatrices<2, false>(lanes); }
void ApplyLoadMatrix4(void* const* lanes) { LoadMatrices<4, false>(lanes); }
void ApplyLoadMatrix2Transposed(void* const* lanes) {
  LoadMatrices<2, true>(lanes);
}
void ApplyLoadMatrix4Transposed(void* const* lanes) {
  LoadMatrices<4, true>(lanes);
}

void ApplyMmaBf16(void* const* lanes) {
  MmaTiles tiles;
  GatherTiles(lanes, tiles);
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < 16; ++k) {
      const float factor = tiles.a[row][k];
      for (int column = 0; column < 8; ++column) {
        tiles.d[row][column] += factor * tiles.b[k][column];
      }
    }
  }
  ScatterResult(lanes, tiles);
}

int BankConflicts(void* const* lanes, int count) {
  int conflicts = 0;
  for (int matrix = 0; matrix < count; ++matrix) {
    int rows_of_group[8] = {};
    for (int row = 0; row < 8; ++row) {
      const auto address = reinterpret_cast<uintptr_t>(
          Of<LoadMatrixOperand>(lanes, 8 * matrix + row).row);
      ++rows_of_group[address / 16 % 8];
    }
    conflicts += *std::max_element(rows_of_group, rows_of_group + 8) - 1;
  }
  return conflicts;
}

}  // namespace longspan::kernels::cuda::emulated

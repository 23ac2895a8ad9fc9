#include "kernels/cost/matmul_tiles.h"

#include <algorithm>

namespace longspan::kernels {
namespace {

constexpr int64_t kTileOperations = 4'000'000;
constexpr int64_t kMaxTiles = 64;
constexpr int64_t kMinTileSide = 64;

int64_t PowerOfTwoAtMost(int64_t value) {
  int64_t power = 1;
  while (power * 2 <= value) power *= 2;
  return power;
}

}  // namespace

MatMulTiles ChooseMatMulTiles(int64_t rows, int64_t columns, int64_t inner) {
  const double operations = 2.0 * static_cast<double>(rows) *
                            static_cast<double>(columns) *
                            static_cast<double>(inner);
  const double wanted =
      std::min(operations / kTileOperations, static_cast<double>(kMaxTiles));
  const int64_t tiles = PowerOfTwoAtMost(static_cast<int64_t>(wanted));
  MatMulTiles result;
  result.row_tiles = std::min(tiles, PowerOfTwoAtMost(rows / kMinTileSide));
  result.column_tiles = std::min(tiles / result.row_tiles,
                                 PowerOfTwoAtMost(columns / kMinTileSide));
  return result;
}

int64_t PartBegin(int64_t size, int64_t parts, int64_t index) {
  return size / parts * index + std::min(index, size % parts);
}

}  // namespace longspan::kernels

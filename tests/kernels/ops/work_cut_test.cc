// The pure functions that cut work, and the tables behind rotary.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cost/matmul_tiles.h"
#include "kernels/cost/op_blocks.h"
#include "kernels/cost/workspace.h"
#include "kernels/cpu/rotary_angles.h"

namespace longspan::kernels {
namespace {

TEST(MatMulTilesTest, SmallProductsStayWhole) {
  EXPECT_EQ(ChooseMatMulTiles(256, 64, 64).count(), 1);
  EXPECT_EQ(ChooseMatMulTiles(1, 4096, 64).count(), 1);
}

TEST(MatMulTilesTest, RowsAreCutFirst) {
  const MatMulTiles tall = ChooseMatMulTiles(512, 192, 64);
  EXPECT_EQ(tall.row_tiles, 2);
  EXPECT_EQ(tall.column_tiles, 1);
  const MatMulTiles wide = ChooseMatMulTiles(64, 1024, 1024);
  EXPECT_EQ(wide.row_tiles, 1);
  EXPECT_EQ(wide.column_tiles, 16);
}

TEST(MatMulTilesTest, LargeProductsAreBounded) {
  EXPECT_LE(ChooseMatMulTiles(1 << 20, 1 << 16, 1 << 12).count(), 64);
}

TEST(PartBeginTest, PartsTile) {
  for (int64_t size : {0, 1, 7, 64}) {
    EXPECT_EQ(PartBegin(size, 3, 0), 0);
    EXPECT_EQ(PartBegin(size, 3, 3), size);
    for (int64_t part = 0; part < 3; ++part) {
      const int64_t length =
          PartBegin(size, 3, part + 1) - PartBegin(size, 3, part);
      EXPECT_TRUE(length == size / 3 || length == size / 3 + 1);
    }
  }
}

TEST(CrossEntropySlabTest, SlabsAreBoundedWhateverTheLength) {
  EXPECT_EQ(CrossEntropySlabRows(1 << 20, 256, 4), 512);
  EXPECT_EQ(CrossEntropySlabRows(1 << 20, 128256, 4), 32);
  EXPECT_EQ(CrossEntropySlabRows(5, 256, 4), 5);
  EXPECT_EQ(
      CrossEntropyWorkspaceBytes(1 << 20, 64, 256, 4, BackendKind::kCpu, 1),
      CrossEntropyWorkspaceBytes(1 << 30, 64, 256, 4, BackendKind::kCpu, 8));
}

TEST(WorkspaceBytesTest, AreMultiplesOf64) {
  EXPECT_EQ(CrossEntropyWorkspaceBytes(3, 5, 7, 4, BackendKind::kCpu, 1) % 64,
            0);
  EXPECT_EQ(RmsNormBackwardWorkspaceBytes(3, 5, 4, BackendKind::kCpu, 1), 64);
  EXPECT_EQ(SumOfSquaresWorkspaceBytes(1, BackendKind::kCpu, 1), 64);
  EXPECT_EQ(SumOfSquaresWorkspaceBytes(1, BackendKind::kReference, 1), 0);
}

TEST(RotaryAnglesTest, EntriesDependOnThePositionAlone) {
  RotaryAngles walked(8, 10000.0);
  for (int64_t position = 1000000; position < 1000200; ++position) {
    walked.MoveTo(position);
    RotaryAngles jumped(8, 10000.0);
    jumped.MoveTo(position);
    for (int i = 0; i < 8; ++i) {
      EXPECT_EQ(walked.cosines()[i], jumped.cosines()[i]);
      EXPECT_EQ(walked.sines()[i], jumped.sines()[i]);
      const double angle = position * std::pow(10000.0, -i / 8.0);
      EXPECT_NEAR(walked.cosines()[i], std::cos(angle), 2e-9);
    }
  }
}

TEST(RotaryAnglesTest, RepeatedAndNegativePositions) {
  RotaryAngles angles(2, 10.0);
  for (int64_t position : {-1, -1, 0, 0, -65, 3}) {
    angles.MoveTo(position);
    EXPECT_NEAR(angles.cosines()[0], std::cos(1.0 * position), 1e-12);
    EXPECT_NEAR(angles.sines()[0], std::sin(1.0 * position), 1e-12);
  }
}

}  // namespace
}  // namespace longspan::kernels

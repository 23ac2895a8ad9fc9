#include "worker/text_pass/piece_cutter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/model_spec/token_range.h"

namespace longspan::worker {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(PieceCutterTest, CutsAtThePieceLength) {
  EXPECT_THAT(
      CutIntoPieces(20, 8, 2),
      ElementsAre(TokenRange{0, 8}, TokenRange{8, 16}, TokenRange{16, 20}));
}

TEST(PieceCutterTest, LeavesEveryRankATokenOfTheLastPiece) {
  EXPECT_THAT(
      CutIntoPieces(17, 8, 3),
      ElementsAre(TokenRange{0, 8}, TokenRange{8, 14}, TokenRange{14, 17}));
}

TEST(PieceCutterTest, ShortTextsAreOnePiece) {
  EXPECT_THAT(CutIntoPieces(2, 8, 3), ElementsAre(TokenRange{0, 2}));
  EXPECT_THAT(CutIntoPieces(0, 8, 3), IsEmpty());
}

TEST(PieceCutterTest, EveryCaseTilesAndIsSharedByAllRanks) {
  for (int ranks = 1; ranks <= 5; ++ranks) {
    for (int64_t length = 1; length <= 12; ++length) {
      for (int64_t tokens = ranks; tokens <= 40; ++tokens) {
        const std::vector<TokenRange> pieces =
            CutIntoPieces(tokens, length, ranks);
        EXPECT_TRUE(CheckTiling(pieces, tokens).ok());
        for (const TokenRange& piece : pieces) {
          EXPECT_GE(piece.size(), ranks);
          EXPECT_LE(piece.size(), LongestPiece(tokens, length, ranks));
        }
      }
    }
  }
}

}  // namespace
}  // namespace longspan::worker

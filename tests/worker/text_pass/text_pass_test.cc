#include "worker/text_pass/text_pass.h"

#include <gtest/gtest.h>

#include <cmath>

#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "tests/support/job/test_rank.h"
#include "tests/support/thread_world.h"

namespace longspan::worker {
namespace {

using longspan::testing::RunThreadWorld;
using longspan::testing::TestRank;
using longspan::testing::TinyModel;
using longspan::testing::TinyText;

// Losses of tokens 1 .. n of a text, by position.
absl::StatusOr<std::vector<double>> Score(const ModelSpec& spec,
                                          const TokenSource& text, int ranks,
                                          int64_t piece_length) {
  std::vector<double> losses(text.size() - 1, std::nan(""));
  Mutex mu;
  RETURN_IF_ERROR(RunThreadWorld(ranks, [&](ProcessGroup& group) {
    const TestRank rank(ranks == 1 ? nullptr : &group);
    ASSIGN_OR_RETURN(const auto parameters,
                     Parameters::Create(rank.context(), spec, false));
    RETURN_IF_ERROR(parameters->Initialize(7));
    Model model(spec, *parameters);
    ASSIGN_OR_RETURN(const auto pass,
                     TextPass::Create(model, rank.context(), text,
                                      {.tokens = text.size() - 1,
                                       .piece_length = piece_length,
                                       .score = true,
                                       .context_tokens = text.size()}));
    while (!pass->done()) {
      ASSIGN_OR_RETURN(const PieceScores piece, pass->RunPiece());
      MutexLock lock(mu);
      for (size_t i = 0; i < piece.nll.size(); ++i) {
        double& loss = losses[piece.first_position - 1 + i];
        EXPECT_TRUE(std::isnan(loss)) << "scored twice";
        loss = piece.nll[i];
      }
    }
    EXPECT_EQ(pass->tokens_done(), text.size() - 1);
    return absl::OkStatus();
  }));
  return losses;
}

class TextPassTest : public ::testing::TestWithParam<const char*> {};

TEST_P(TextPassTest, PiecesAndRanksGiveWhatTheWholeGives) {
  const ModelSpec spec = TinyModel(GetParam(), LinearMixer::kSimpleGla);
  const auto text = TokenSource::FromText(TinyText(151), "test");
  const std::vector<double> whole = Score(spec, *text, 1, 1000).value();
  struct Case {
    int ranks;
    int64_t piece_length;
  };
  for (const Case& c : {Case{1, 7}, Case{1, 64}, Case{3, 1000}, Case{3, 20},
                        Case{2, 1}, Case{4, 37}}) {
    const std::vector<double> pieces =
        Score(spec, *text, c.ranks, c.piece_length).value();
    for (size_t i = 0; i < whole.size(); ++i) {
      ASSERT_NEAR(pieces[i], whole[i], 1e-10)
          << "token " << i + 1 << ", " << c.ranks << " ranks, pieces of "
          << c.piece_length;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Patterns, TextPassTest,
                         ::testing::Values("LL", "LN", "N"));

TEST(TextPassTest, AGangLongerThanTheTextScoresItOnce) {
  const ModelSpec spec = TinyModel("LN", LinearMixer::kRetention);
  const auto text = TokenSource::FromText("abc", "test");
  const std::vector<double> one = Score(spec, *text, 1, 8).value();
  const std::vector<double> four = Score(spec, *text, 4, 8).value();
  ASSERT_EQ(four.size(), 2u);
  for (size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(four[i], one[i], 1e-10);
}

}  // namespace
}  // namespace longspan::worker

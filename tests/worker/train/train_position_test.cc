#include "worker/train/train_position.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace longspan::worker {
namespace {

TEST(TrainPositionTest, ReadsBackBitByBit) {
  const TrainPosition position = {.step = 7,
                                  .updates = 6,
                                  .skipped = 1,
                                  .tokens = int64_t{1} << 40,
                                  .seconds = 0.1 + 0.2,
                                  .loss = 1.0 / 3.0};
  const TrainPosition back =
      PositionFromState(7, PositionToState(position)).value();
  EXPECT_EQ(back.step, 7);
  EXPECT_EQ(back.updates, 6);
  EXPECT_EQ(back.skipped, 1);
  EXPECT_EQ(back.tokens, int64_t{1} << 40);
  EXPECT_EQ(back.seconds, 0.1 + 0.2);
  EXPECT_EQ(back.loss, 1.0 / 3.0);
}

TEST(TrainPositionTest, NamesWhatIsWrong) {
  auto state = PositionToState({});
  state.erase("tokens");
  EXPECT_THAT(std::string(PositionFromState(1, state).status().message()),
              ::testing::HasSubstr("'tokens' is missing"));
  state["tokens"] = "many";
  EXPECT_THAT(std::string(PositionFromState(1, state).status().message()),
              ::testing::HasSubstr("'tokens' is no number"));
}

}  // namespace
}  // namespace longspan::worker

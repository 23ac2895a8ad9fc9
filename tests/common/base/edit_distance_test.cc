#include "common/base/edit_distance.h"

#include "gtest/gtest.h"

namespace longspan {
namespace {

TEST(EditDistanceTest, CountsEdits) {
  EXPECT_EQ(EditDistance("", ""), 0);
  EXPECT_EQ(EditDistance("abc", ""), 3);
  EXPECT_EQ(EditDistance("", "ab"), 2);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
  EXPECT_EQ(EditDistance("ab", "ba"), 1);  // neighbours swapped
  EXPECT_EQ(EditDistance("layers", "laeyrs"), 1);
  EXPECT_EQ(EditDistance("abcd", "badc"), 2);
}

TEST(ClosestNameTest, SuggestsOnlyWhatIsNear) {
  const std::vector<std::string> names = {"learning_rate", "layers", "steps"};
  EXPECT_EQ(ClosestName("learnig_rate", names), "learning_rate");
  EXPECT_EQ(ClosestName("layer", names), "layers");
  EXPECT_EQ(ClosestName("stpes", names), "steps");
  EXPECT_EQ(ClosestName("optimizer", names), std::nullopt);
  EXPECT_EQ(ClosestName("x", {}), std::nullopt);
}

TEST(ClosestNameTest, TiesGoToTheEarlier) {
  EXPECT_EQ(ClosestName("bat", {"cat", "hat"}), "cat");
}

}  // namespace
}  // namespace longspan

#include "common/base/strong_id.h"

#include <map>
#include <sstream>
#include <string>
#include <type_traits>
#include <unordered_set>

#include "absl/hash/hash.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

using Rank = StrongId<struct RankTag, int>;
using Slot = StrongId<struct SlotTag, int>;
using JobId = StrongId<struct JobIdTag, std::string>;

static_assert(!std::is_convertible_v<int, Rank>);
static_assert(!std::is_convertible_v<Rank, int>);
static_assert(!std::is_constructible_v<Rank, Slot>);
static_assert(!std::is_assignable_v<Rank&, Slot>);

TEST(StrongIdTest, ComparesAndOrdersByValue) {
  EXPECT_EQ(Rank(3), Rank(3));
  EXPECT_NE(Rank(3), Rank(4));
  EXPECT_LT(JobId("a"), JobId("b"));
  EXPECT_GE(Rank(4), Rank(4));
  EXPECT_EQ(Rank().value(), 0);
  EXPECT_EQ(JobId("j").value(), "j");
}

TEST(StrongIdTest, IsAKeyOfMapsAndSets) {
  std::map<JobId, int> ordered = {{JobId("b"), 2}, {JobId("a"), 1}};
  EXPECT_EQ(ordered.begin()->second, 1);
  std::unordered_set<Rank> hashed = {Rank(1), Rank(1), Rank(2)};
  EXPECT_EQ(hashed.size(), 2u);
  EXPECT_EQ(absl::HashOf(JobId("x")), absl::HashOf(JobId("x")));
}

TEST(StrongIdTest, PrintsItsValue) {
  std::ostringstream out;
  out << Rank(7) << " " << JobId("j-1");
  EXPECT_EQ(out.str(), "7 j-1");
}

}  // namespace
}  // namespace longspan

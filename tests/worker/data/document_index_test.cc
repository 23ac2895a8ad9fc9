#include "worker/data/document_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace longspan::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(DocumentIndexTest, DocumentsBeginAfterSeparators) {
  const auto source = TokenSource::FromText("ab|c||d|", "text");
  const DocumentIndex index = DocumentIndex::FromSeparator(*source, '|');
  EXPECT_THAT(index.starts(), ElementsAre(3, 5, 6));
}

TEST(DocumentIndexTest, StartsAreRelativeToTheRange) {
  const auto source = TokenSource::FromText("ab|c||d|", "text");
  const DocumentIndex index = DocumentIndex::FromSeparator(*source, '|');
  EXPECT_THAT(index.Within(3, 6), ElementsAre(0, 2));
  EXPECT_THAT(index.Within(0, 3), IsEmpty());
  EXPECT_THAT(index.Within(4, 8), ElementsAre(1, 2));
}

TEST(DocumentIndexTest, LastTokensPredictNothing) {
  const auto source = TokenSource::FromText("ab|c||d|", "text");
  const DocumentIndex index = DocumentIndex::FromSeparator(*source, '|');
  std::vector<int32_t> inputs(5), targets(5);
  ASSERT_EQ(source->Read(1, absl::MakeSpan(inputs), absl::MakeSpan(targets)),
            absl::OkStatus());
  index.DropTargetsAcross(1, absl::MakeSpan(targets));
  EXPECT_THAT(targets, ElementsAre('|', -1, '|', -1, -1));
}

TEST(DocumentIndexTest, TakesExplicitStarts) {
  const auto source = TokenSource::FromText("abcdef", "text");
  const auto index = DocumentIndex::FromStarts(*source, {0, 2, 5});
  ASSERT_EQ(index.status(), absl::OkStatus());
  EXPECT_THAT(index->Within(0, 6), ElementsAre(0, 2, 5));
}

TEST(DocumentIndexTest, RefusesStartsOutOfOrderOrOutside) {
  const auto source = TokenSource::FromText("abcdef", "text");
  for (const std::vector<int64_t>& starts :
       {std::vector<int64_t>{2, 2}, {-1}, {6}, {3, 1}}) {
    EXPECT_EQ(DocumentIndex::FromStarts(*source, starts).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace longspan::worker

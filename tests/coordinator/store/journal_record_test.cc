#include "coordinator/store/journal_record.h"

#include <gtest/gtest.h>

#include "longspan/internal/journal.pb.h"

namespace longspan::coordinator {
namespace {

template <typename Event>
Event RoundTrip(const Event& event) {
  absl::StatusOr<JobEventBody> body =
      DecodeJournalRecord(EncodeJournalRecord(event));
  EXPECT_TRUE(body.ok()) << body.status();
  EXPECT_TRUE(std::holds_alternative<Event>(*body));
  return std::get<Event>(*body);
}

TEST(JournalRecordTest, CreatedKeepsEverything) {
  JobCreated created;
  created.kind = JobKind::kGenerate;
  created.spec = std::make_shared<const std::string>("\0spec\xff", 6);
  created.spec_digest = "d";
  created.request_id = "r";
  created.demand = {4, 2, "cuda", 3, -2, 5, {"corpus", "outputs"}, 1 << 30};
  const JobCreated back = RoundTrip(created);
  EXPECT_EQ(back.kind, created.kind);
  EXPECT_EQ(*back.spec, *created.spec);
  EXPECT_EQ(back.spec_digest, created.spec_digest);
  EXPECT_EQ(back.request_id, created.request_id);
  EXPECT_EQ(back.demand, created.demand);
}

TEST(JournalRecordTest, AttemptEventsKeepEverything) {
  const GangPlaced placed = {3, 7, std::string(32, '\0'), {{0, "w", 2}}};
  EXPECT_EQ(RoundTrip(placed).attempt, 3);
  EXPECT_EQ(RoundTrip(placed).epoch, 7);
  EXPECT_EQ(RoundTrip(placed).secret, placed.secret);
  EXPECT_EQ(RoundTrip(placed).placements, placed.placements);
  EXPECT_EQ(RoundTrip(AttemptRunning{2, 9}).resumed_step, 9);
  const RankFailed failed = {2, 1, absl::StatusCode::kDataLoss, "bits"};
  EXPECT_EQ(RoundTrip(failed).rank, 1);
  EXPECT_EQ(RoundTrip(failed).code, failed.code);
  EXPECT_EQ(RoundTrip(failed).error, "bits");
  EXPECT_EQ(RoundTrip(CheckpointRecorded{2, int64_t{1} << 40}).step,
            int64_t{1} << 40);
  EXPECT_EQ(RoundTrip(AttemptEnded{2, "why"}).reason, "why");
}

TEST(JournalRecordTest, JobEventsKeepEverything) {
  EXPECT_EQ(RoundTrip(JobRequeued{"x"}).reason, "x");
  EXPECT_EQ(RoundTrip(CancelRequested{"y"}).reason, "y");
  EXPECT_EQ(
      *RoundTrip(JobSucceeded{1, std::make_shared<const std::string>("result")})
           .result,
      "result");
  EXPECT_EQ(RoundTrip(JobFailed{"z"}).error, "z");
  RoundTrip(JobCancelled{});
  RoundTrip(JobDeleted{});
}

TEST(JournalRecordTest, RefusesGarbageAndNewerEvents) {
  EXPECT_EQ(DecodeJournalRecord("\xff\xff\xff").status().code(),
            absl::StatusCode::kDataLoss);
  // Field 99, as a later version might write.
  EXPECT_EQ(DecodeJournalRecord(std::string("\x9a\x06\x00", 3)).status().code(),
            absl::StatusCode::kFailedPrecondition);
  internal::JournalRecord record;
  record.mutable_created()->set_kind("distil");
  EXPECT_EQ(DecodeJournalRecord(record.SerializeAsString()).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace longspan::coordinator

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "absl/time/time.h"
#include "cli/format_job.h"
#include "cli/format_plan.h"
#include "cli/format_table.h"
#include "cli/progress_bar.h"
#include "cli/request_id.h"
#include "cli/restart_backoff.h"

namespace longspan::cli {
namespace {

using testing::HasSubstr;

TEST(FormatTableTest, AlignsColumns) {
  EXPECT_EQ(FormatTable({{"A"}, {"NUMBER", true}, {"C"}},
                        {{"long", "1", "x"}, {"b", "234567890"}}),
            "A        NUMBER  C\n"
            "long          1  x\n"
            "b     234567890\n");
}

TEST(FormatJobTest, StatesHaveNamesBothWays) {
  for (int i = 1; i <= 8; ++i) {
    auto state = static_cast<v1::JobState>(i);
    EXPECT_EQ(StateOfName(StateName(state)), state);
  }
  EXPECT_EQ(StateOfName("nonsense"), v1::JOB_STATE_UNSPECIFIED);
}

TEST(FormatJobTest, ShowsResultAndAttempts) {
  v1::Job job;
  job.set_name("tenants/default/jobs/a");
  job.set_state(v1::SUCCEEDED);
  job.mutable_create_time()->set_seconds(100);
  auto* attempt = job.add_attempts();
  attempt->set_number(2);
  attempt->set_resumed_step(50);
  attempt->add_placements()->set_worker("workers/w0");
  auto* train = job.mutable_result()->mutable_train();
  train->set_loss(1.5);
  train->set_parameter_digest("abcd");
  train->set_memory_peak_bytes(2 << 20);
  train->set_memory_planned_bytes(3 << 20);
  std::string text = FormatJob(job, absl::FromUnixSeconds(160));
  EXPECT_THAT(text, HasSubstr("created     1m00s ago"));
  EXPECT_THAT(text, HasSubstr("0:w0/0, resumed from step 50"));
  EXPECT_THAT(text, HasSubstr("loss 1.5000"));
  EXPECT_THAT(text, HasSubstr("2.0 MiB (planned 3.0 MiB)"));
  EXPECT_THAT(text, HasSubstr("digest      abcd"));
}

TEST(ProgressBarTest, FitsTheTerminal) {
  v1::Progress progress;
  progress.set_fraction(0.5);
  progress.set_done(10);
  progress.set_unit("steps");
  progress.set_loss(2.25);
  progress.mutable_remaining()->set_seconds(90);
  std::string line = ProgressBar(v1::RUNNING, progress, 200);
  EXPECT_THAT(line, HasSubstr("[##########..........]  50%"));
  EXPECT_THAT(line, HasSubstr("loss 2.2500"));
  EXPECT_THAT(line, HasSubstr("ETA 1m30s"));
  EXPECT_EQ(ProgressBar(v1::RUNNING, progress, 12).size(), 12u);
}

TEST(ProgressBarTest, BadFractionsAreBounded) {
  v1::Progress progress;
  progress.set_fraction(7.0);
  EXPECT_THAT(ProgressBar(v1::RUNNING, progress, 200), HasSubstr("100%"));
  progress.set_fraction(std::numeric_limits<double>::quiet_NaN());
  EXPECT_THAT(ProgressBar(v1::RUNNING, progress, 200), HasSubstr("  0%"));
}

TEST(FormatPlanTest, ShowsRanksAndLayers) {
  v1::Plan plan;
  plan.set_parameter_count(194024);
  auto* axis = plan.mutable_mesh()->add_axes();
  axis->set_name("sequence");
  axis->set_size(2);
  auto* rank = plan.add_ranks();
  rank->add_token_ranges()->set_end(256);
  rank->mutable_memory()->set_total(5 << 20);
  auto* layer = plan.add_layers();
  layer->set_mixer("simple_gla");
  layer->add_forward_bytes(4112);
  layer->add_forward_bytes(4112);
  layer->add_backward_bytes(1);
  layer->add_backward_bytes(2);
  std::string text = FormatPlan(plan);
  EXPECT_THAT(text, HasSubstr("sequence=2"));
  EXPECT_THAT(text, HasSubstr("[0, 256)"));
  EXPECT_THAT(text, HasSubstr("5.0 MiB"));
  EXPECT_THAT(text, HasSubstr("simple_gla     4112       1 2"));
}

TEST(RequestIdTest, IsARandomUuid) {
  std::string id = NewRequestId();
  EXPECT_EQ(id.size(), 36u);
  EXPECT_EQ(id.find_first_not_of("0123456789abcdef-"), std::string::npos);
  EXPECT_EQ(id[14], '4');
  EXPECT_NE(id, NewRequestId());
}

TEST(RestartBackoffTest, GrowsAndForgets) {
  RestartBackoff backoff;
  EXPECT_EQ(backoff.OnDeath(absl::Seconds(1)), absl::Milliseconds(200));
  EXPECT_EQ(backoff.OnDeath(absl::Seconds(1)), absl::Milliseconds(400));
  for (int i = 0; i < 10; ++i) backoff.OnDeath(absl::Seconds(1));
  EXPECT_EQ(backoff.OnDeath(absl::Seconds(1)), absl::Seconds(10));
  EXPECT_EQ(backoff.OnDeath(absl::Seconds(61)), absl::Milliseconds(200));
}

}  // namespace
}  // namespace longspan::cli

#include "cli/watch_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "cli/client.h"
#include "cli/event_view.h"
#include "tests/cli/fake_job_service.h"

namespace longspan::cli {
namespace {

using testing::ElementsAre;

const grpc::Status kGone(grpc::StatusCode::UNAVAILABLE, "gone");

class RecordingView final : public EventView {
 public:
  void OnEvent(const v1::JobEvent& event) override {
    tokens.push_back(event.resume_token());
  }
  void OnDisconnected(const std::string&) override { ++disconnections; }

  std::vector<std::string> tokens;
  int disconnections = 0;
};

ExitCode Watch(const FakeJobService& service, RecordingView* view,
               const std::string& token = "", double patience = 10) {
  auto client = Client::Create(service.client_options());
  EXPECT_TRUE(client.ok());
  return WatchJob(*client, "tenants/default/jobs/a", token, patience, view);
}

TEST(WatchJobTest, EndsWithTheJob) {
  FakeJobService service;
  for (auto [state, code] : {std::pair{v1::SUCCEEDED, ExitCode::kOk},
                             std::pair{v1::FAILED, ExitCode::kJobFailed},
                             std::pair{v1::CANCELLED, ExitCode::kCancelled}}) {
    service.resume_tokens.clear();
    service.watch_answers = {
        {{StateEvent("1", v1::RUNNING), StateEvent("2", state)}, {}}};
    RecordingView view;
    EXPECT_EQ(Watch(service, &view), code);
    EXPECT_THAT(view.tokens, ElementsAre("1", "2"));
  }
}

TEST(WatchJobTest, ResumesAfterTheLastEventItSaw) {
  FakeJobService service;
  service.watch_answers = {
      {{StateEvent("1", v1::RUNNING), ProgressEvent("2", 10)}, kGone},
      {{}, kGone},
      {{ProgressEvent("3", 20), StateEvent("4", v1::SUCCEEDED)}, {}}};
  RecordingView view;
  EXPECT_EQ(Watch(service, &view, "0"), ExitCode::kOk);
  EXPECT_THAT(service.resume_tokens, ElementsAre("0", "2", "2"));
  EXPECT_THAT(view.tokens, ElementsAre("1", "2", "3", "4"));
  EXPECT_EQ(view.disconnections, 2);
}

TEST(WatchJobTest, ACompactedTokenStartsFromTheJobAsItIs) {
  FakeJobService service;
  service.job.set_name("tenants/default/jobs/a");
  service.job.set_state(v1::RUNNING);
  service.job.set_revision(40);
  service.watch_answers = {{{}, {grpc::StatusCode::OUT_OF_RANGE, "compacted"}},
                           {{StateEvent("41", v1::SUCCEEDED)}, {}}};
  RecordingView view;
  EXPECT_EQ(Watch(service, &view, "3"), ExitCode::kOk);
  EXPECT_THAT(service.resume_tokens, ElementsAre("3", "40"));
  EXPECT_THAT(view.tokens, ElementsAre("40", "41"));
}

TEST(WatchJobTest, OtherErrorsAreNotRetried) {
  FakeJobService service;
  service.watch_answers = {{{}, {grpc::StatusCode::NOT_FOUND, "no job"}}};
  RecordingView view;
  EXPECT_EQ(Watch(service, &view), ExitCode::kNotFound);
  EXPECT_EQ(view.disconnections, 0);
}

TEST(WatchJobTest, GivesUpWhenNobodyAnswers) {
  FakeJobService service;
  service.watch_answers = {{{}, kGone}};
  RecordingView view;
  EXPECT_EQ(Watch(service, &view, "", 0.3), ExitCode::kUnreachable);
}

}  // namespace
}  // namespace longspan::cli

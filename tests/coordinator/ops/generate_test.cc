// Generate: a stream of tokens over a job that may fail, move or outlive the
// coordinator.
#include <gtest/gtest.h>

#include "tests/support/in_process_cluster/in_process_cluster.h"
#include "tests/support/in_process_cluster/sample_spec.h"

namespace longspan::testing {
namespace {

using Status = v1::AssignmentStatus;
using coordinator::PullState;
using Stream = std::unique_ptr<coordinator::PullStream<v1::GenerateResponse>>;

v1::GenerateRequest Request(const std::string& id = "") {
  v1::GenerateRequest request;
  *request.mutable_generate() = GenerateSpec().generate();
  request.set_request_id(id);
  return request;
}

class GenerateTest : public ::testing::Test {
 protected:
  Stream Open(const std::string& id = "") {
    auto stream = coordinator::Generate(cluster_.core(), Request(id));
    EXPECT_TRUE(stream.ok()) << stream.status();
    v1::GenerateResponse first;
    absl::Status end;
    EXPECT_EQ((*stream)->Next(&first, &end), PullState::kItem);
    job_ = first.job();
    return *std::move(stream);
  }

  void Tokens(const std::string& text) {
    v1::WorkerMessage message;
    *message.mutable_tokens()->mutable_key() = worker_.executor(0).key;
    for (char c : text) {
      v1::GeneratedTokenData& token = *message.mutable_tokens()->add_tokens();
      token.set_id(c);
      token.set_text(std::string(1, c));
    }
    ASSERT_TRUE(worker_.Send(message).ok());
  }

  void Succeed(const std::string& text) {
    v1::WorkerMessage message;
    v1::AssignmentStatus& status = *message.mutable_assignment_status();
    *status.mutable_key() = worker_.executor(0).key;
    status.set_state(Status::SUCCEEDED);
    v1::GenerateResult& result = *status.mutable_result()->mutable_generate();
    for (char c : text) result.add_token_ids(c);
    result.set_text(text);
    result.set_finish_reason("length");
    result.mutable_usage()->set_generated_tokens(
        static_cast<int64_t>(text.size()));
    ASSERT_TRUE(worker_.Send(message).ok());
  }

  // Pulls tokens until it has to wait or the stream ends.
  PullState Pull(Stream& stream) {
    v1::GenerateResponse item;
    PullState state;
    while ((state = stream->Next(&item, &end_)) == PullState::kItem) {
      if (item.has_token()) text_ += item.token().text();
      if (item.has_done()) done_ = item.done();
    }
    return state;
  }

  InProcessCluster cluster_;
  FakeWorker& worker_ = cluster_.AddWorker("w");
  std::string job_;
  std::string text_;
  v1::GenerateDone done_;
  absl::Status end_;
};

TEST_F(GenerateTest, StreamsTokensThenTheResult) {
  Stream stream = Open();
  cluster_.Settle();
  Tokens("ab");
  EXPECT_EQ(Pull(stream), PullState::kWait);
  EXPECT_EQ(text_, "ab");
  Tokens("cd");
  Succeed("abcd");
  EXPECT_EQ(Pull(stream), PullState::kEnd);
  EXPECT_TRUE(end_.ok());
  EXPECT_EQ(text_, "abcd");
  EXPECT_EQ(done_.finish_reason(), "length");
  EXPECT_EQ(done_.usage().generated_tokens(), 4);
}

TEST_F(GenerateTest, NewAttemptDoesNotRepeatTokens) {
  Stream stream = Open();
  cluster_.Settle();
  Tokens("abc");
  worker_.Report(0, Status::FAILED, "boom", 13);
  cluster_.Settle();
  ASSERT_EQ(cluster_.StateOf(job_), v1::RUNNING);
  Tokens("ab");
  Tokens("cde");
  Pull(stream);
  EXPECT_EQ(text_, "abcde");
}

TEST_F(GenerateTest, CallerThatLeavesCancels) {
  Stream stream = Open();
  cluster_.Settle();
  stream->Cancelled();
  cluster_.Settle();
  EXPECT_EQ(cluster_.StateOf(job_), v1::CANCELLED);
}

TEST_F(GenerateTest, StoppingCoordinatorCancelsNothing) {
  Stream stream = Open();
  cluster_.Settle();
  {
    MutexLock lock(cluster_.core().mu);
    cluster_.core().stopping = true;
  }
  EXPECT_EQ(Pull(stream), PullState::kEnd);
  EXPECT_EQ(end_.code(), absl::StatusCode::kUnavailable);
  stream->Cancelled();
  EXPECT_EQ(cluster_.StateOf(job_), v1::RUNNING);
}

TEST_F(GenerateTest, ResumedCallGetsTheWholeTextAfterARestart) {
  Stream stream = Open("id-1");
  const std::string first = job_;
  cluster_.Settle();
  Tokens("ab");
  stream.reset();
  cluster_.RestartCoordinator();
  cluster_.ReconnectAll();
  Stream again = Open("id-1");
  EXPECT_EQ(job_, first);
  Succeed("abcd");
  EXPECT_EQ(Pull(again), PullState::kEnd);
  EXPECT_EQ(text_, "abcd");
}

TEST_F(GenerateTest, FailureEndsTheStreamWithTheCause) {
  Stream stream = Open();
  cluster_.Settle();
  worker_.Report(0, Status::FAILED, "models://m does not exist", 5);
  EXPECT_EQ(Pull(stream), PullState::kEnd);
  EXPECT_EQ(end_.code(), absl::StatusCode::kAborted);
  EXPECT_NE(end_.message().find("models://m does not exist"),
            std::string::npos);
}

TEST_F(GenerateTest, ReservedFieldsAreRefused) {
  v1::GenerateRequest request = Request();
  request.set_session("s");
  request.set_adapter("a");
  EXPECT_EQ(coordinator::Generate(cluster_.core(), request).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace longspan::testing

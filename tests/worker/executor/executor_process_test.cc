// Real executor processes under an agent that is a test: train, evaluate,
// generate, and the ways in which a gang ends early.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "tests/support/fake_agent/fake_agent.h"

namespace longspan::worker {
namespace {

using longspan::testing::FakeAgent;
using ::testing::HasSubstr;

constexpr int kOk = 0;
constexpr int kCancelled = 1;
constexpr int kInvalidArgument = 3;
constexpr int kNotFound = 5;

class ExecutorProcessTest : public ::testing::Test {
 protected:
  ExecutorProcessTest()
      : root_(::testing::TempDir() + "/executor_" +
              std::to_string(::getpid())) {
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_ + "/outputs");
    std::ofstream text(root_ + "/text.txt");
    for (int i = 0; i < 200; ++i)
      text << "the cat sat on mat " << i % 7 << "\n";
  }
  ~ExecutorProcessTest() override { std::filesystem::remove_all(root_); }

  internal::ExecutorAssignment Assignment(int ranks) const {
    internal::ExecutorAssignment message;
    (*message.mutable_roots())["corpus"] = root_;
    (*message.mutable_roots())["outputs"] = root_ + "/outputs";
    message.set_threads(1);
    message.mutable_metric_interval()->set_nanos(50'000'000);
    v1::Assignment& assignment = *message.mutable_assignment();
    assignment.mutable_key()->set_job("tenants/default/jobs/j");
    assignment.mutable_key()->set_attempt(1);
    assignment.set_rendezvous_secret(std::string(32, 's'));
    assignment.mutable_rendezvous_timeout()->set_seconds(30);
    assignment.mutable_collective_timeout()->set_seconds(30);
    assignment.mutable_spec()->mutable_resources()->set_ranks(ranks);
    return message;
  }

  internal::ExecutorAssignment Train(int ranks, int64_t steps) const {
    internal::ExecutorAssignment message = Assignment(ranks);
    v1::Assignment& assignment = *message.mutable_assignment();
    assignment.set_checkpoint_uri("outputs://j/checkpoints");
    v1::TrainSpec& train = *assignment.mutable_spec()->mutable_train();
    v1::ModelSpec& model = *train.mutable_model();
    model.set_vocabulary_size(256);
    model.set_hidden_size(16);
    model.set_layer_count(2);
    model.set_layer_pattern("LN");
    model.mutable_linear()->set_mixer(v1::LinearAttentionSpec::SIMPLE_GLA);
    model.mutable_linear()->set_heads(2);
    model.mutable_softmax()->set_heads(2);
    train.mutable_data()->set_uri("corpus://text.txt");
    train.set_sequence_length(33);
    train.set_steps(steps);
    train.set_report_interval(1);
    train.mutable_optimizer()->set_learning_rate(1e-2);
    train.mutable_checkpoint()->set_interval(10);
    return message;
  }

  internal::ExecutorAssignment WithModel(int ranks) const {
    internal::ExecutorAssignment message = Assignment(ranks);
    message.mutable_assignment()->set_model_uri("outputs://j/checkpoints");
    return message;
  }

  // Runs a gang to its end; every rank must finish well.
  static std::unique_ptr<FakeAgent> RunToEnd(
      const internal::ExecutorAssignment& message) {
    const int ranks = message.assignment().spec().resources().ranks();
    auto agent = std::make_unique<FakeAgent>(message, ranks);
    agent->Launch();
    for (int rank = 0; rank < ranks; ++rank) {
      EXPECT_EQ(agent->Wait(rank), 0);
      EXPECT_TRUE(agent->finished(rank).has_value());
      if (!agent->finished(rank)) continue;
      EXPECT_EQ(agent->finished(rank)->code(), kOk)
          << agent->finished(rank)->error();
    }
    return agent;
  }

  const std::string root_;
};

TEST_F(ExecutorProcessTest, TrainsEvaluatesAndGenerates) {
  const auto train = RunToEnd(Train(2, 20));
  const v1::TrainResult trained = train->finished(0)->result().train();
  EXPECT_EQ(trained.steps(), 20);
  EXPECT_EQ(trained.tokens(), 660);
  EXPECT_LT(trained.loss(), 5.0);
  EXPECT_GT(trained.memory_peak_bytes(), 0);
  EXPECT_EQ(trained.checkpoint_uri(), "outputs://j/checkpoints");
  EXPECT_EQ(train->progress(0).back().done(), 20);
  EXPECT_EQ(train->metric_totals(0)["longspan_steps_total"], 20.0);
  EXPECT_EQ(train->metric_totals(1)["longspan_steps_total"], 0.0);
  EXPECT_GT(train->metric_totals(1)["longspan_collective_bytes_total"], 0.0);

  internal::ExecutorAssignment message = WithModel(2);
  v1::EvaluateSpec& evaluate =
      *message.mutable_assignment()->mutable_spec()->mutable_evaluate();
  evaluate.mutable_data()->set_uri("corpus://text.txt");
  evaluate.set_piece_length(500);
  const auto evaluated = RunToEnd(message);
  const v1::EvaluateResult scores = evaluated->finished(0)->result().evaluate();
  EXPECT_EQ(
      scores.tokens(),
      static_cast<int64_t>(std::filesystem::file_size(root_ + "/text.txt")) -
          1);
  EXPECT_LT(scores.bits_per_byte(), 7.5);
  EXPECT_GT(scores.buckets_size(), 3);

  std::string texts[2];
  for (int ranks : {1, 2}) {
    message = WithModel(ranks);
    v1::GenerateSpec& generate =
        *message.mutable_assignment()->mutable_spec()->mutable_generate();
    generate.set_text("the cat sat");
    generate.set_max_new_tokens(20);
    generate.mutable_sampling()->set_temperature(0.0);
    const auto generated = RunToEnd(message);
    const v1::GenerateResult result =
        generated->finished(0)->result().generate();
    texts[ranks - 1] = result.text();
    EXPECT_EQ(result.text().size(), 20u);
    EXPECT_EQ(generated->tokens(0), result.text());
    EXPECT_EQ(result.finish_reason(), "length");
    EXPECT_EQ(result.usage().prompt_tokens(), 11);
  }
  EXPECT_EQ(texts[0], texts[1]);
}

TEST_F(ExecutorProcessTest, AKilledGangResumesToTheSameBits) {
  const std::string whole =
      RunToEnd(Train(2, 30))->finished(0)->result().train().parameter_digest();
  std::filesystem::remove_all(root_ + "/outputs/j");
  {
    FakeAgent agent(Train(2, 30), 2);
    agent.on_message = [&](int rank, const internal::FromExecutor& message) {
      if (rank == 1 && message.progress().checkpoint_step() >= 10) {
        agent.Kill(1, SIGKILL);
      }
    };
    agent.Launch();
    EXPECT_TRUE(WIFSIGNALED(agent.Wait(1)));
    // The other rank notices by itself, and says so.
    const int status = agent.Wait(0);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 1);
    ASSERT_TRUE(agent.finished(0).has_value());
    EXPECT_NE(agent.finished(0)->code(), kOk);
  }
  internal::ExecutorAssignment again = Train(2, 30);
  again.mutable_assignment()->mutable_key()->set_attempt(2);
  const auto resumed = RunToEnd(again);
  EXPECT_GE(resumed->prepared(0)->resumed_step(), 10);
  EXPECT_EQ(resumed->finished(0)->result().train().parameter_digest(), whole);
}

TEST_F(ExecutorProcessTest, StopAndSigtermLeaveACheckpoint) {
  for (const bool by_signal : {false, true}) {
    FakeAgent agent(Train(2, 1'000'000), 2);
    agent.on_message = [&](int rank, const internal::FromExecutor& message) {
      if (rank != 0 || message.progress().done() < 3) return;
      for (int r : {0, 1}) {
        by_signal ? agent.Kill(r, SIGTERM) : agent.Stop(r, "cancelled");
      }
    };
    agent.Launch();
    for (int rank : {0, 1}) {
      EXPECT_EQ(agent.Wait(rank), 0);
      ASSERT_TRUE(agent.finished(rank).has_value());
      EXPECT_EQ(agent.finished(rank)->code(), kCancelled)
          << agent.finished(rank)->error();
    }
    EXPECT_FALSE(std::filesystem::is_empty(root_ + "/outputs/j/checkpoints"));
    std::filesystem::remove_all(root_ + "/outputs/j");
  }
}

TEST_F(ExecutorProcessTest, LeavesWhenItsAgentGoesAway) {
  FakeAgent agent(Train(2, 1'000'000), 2);
  agent.on_message = [&](int rank, const internal::FromExecutor& message) {
    if (rank == 0 && message.progress().done() >= 2) agent.HangUp(0);
  };
  agent.Launch();
  const int status = agent.Wait(0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 3);
  EXPECT_EQ(WEXITSTATUS(agent.Wait(1)), 1);
}

TEST_F(ExecutorProcessTest, RefusesAnAssignmentThatMakesNoSense) {
  struct Case {
    std::function<void(internal::ExecutorAssignment&)> spoil;
    int code;
    std::string text;
  };
  const Case cases[] = {
      {[](auto& m) {
         m.mutable_assignment()
             ->mutable_spec()
             ->mutable_train()
             ->mutable_data()
             ->set_uri("corpus://none.txt");
       },
       kNotFound, "none.txt"},
      {[](auto& m) {
         m.mutable_assignment()
             ->mutable_spec()
             ->mutable_train()
             ->mutable_data()
             ->set_uri("corpus://../text.txt");
       },
       kInvalidArgument, ".."},
      {[](auto& m) { m.mutable_assignment()->mutable_spec()->clear_train(); },
       kInvalidArgument, "one of train"},
      {[](auto& m) {
         m.mutable_assignment()
             ->mutable_plan()
             ->add_ranks()
             ->add_token_ranges()
             ->set_end(7);
       },
       kInvalidArgument, "the plan gives rank 0 other tokens"},
  };
  for (const Case& c : cases) {
    internal::ExecutorAssignment message = Train(1, 3);
    c.spoil(message);
    FakeAgent agent(message, 1);
    agent.Launch();
    EXPECT_EQ(WEXITSTATUS(agent.Wait(0)), 1);
    ASSERT_TRUE(agent.finished(0).has_value());
    EXPECT_EQ(agent.finished(0)->code(), c.code) << agent.finished(0)->error();
    EXPECT_THAT(agent.finished(0)->error(), HasSubstr(c.text));
  }
}

}  // namespace
}  // namespace longspan::worker

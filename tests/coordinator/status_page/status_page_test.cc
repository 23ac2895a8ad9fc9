#include "coordinator/status_page/status_page.h"

#include <limits>
#include <map>
#include <string>

#include "coordinator/status_page/job_json.h"
#include "coordinator/status_page/progress_history.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/support/in_process_cluster/in_process_cluster.h"
#include "tests/support/in_process_cluster/sample_spec.h"

namespace longspan::testing {
namespace {

using coordinator::Job;
using coordinator::JobView;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

using Query = std::vector<std::pair<std::string, std::string>>;

class StatusPageTest : public ::testing::Test {
 protected:
  HttpResponse Ask(const std::string& path, const Query& query = {}) {
    for (const HttpRoute& route :
         coordinator::StatusPageRoutes(cluster_.core(), history_)) {
      if (route.path == path) return route.handler({query});
    }
    ADD_FAILURE() << "no route " << path;
    return {};
  }

  json Read(const std::string& name, const Query& query = {}) {
    const HttpResponse response = Ask("/status/v1/" + name, query);
    EXPECT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(response.content_type, "application/json");
    return json::parse(response.body);
  }

  json ReadJob(const std::string& job) { return Read("job", {{"name", job}}); }

  void Report(FakeWorker& worker, int rank, const v1::Progress& progress) {
    v1::WorkerMessage message;
    *message.mutable_rank_report()->mutable_key() = worker.executor(rank).key;
    message.mutable_rank_report()->set_rank(rank);
    *message.mutable_rank_report()->mutable_progress() = progress;
    ASSERT_TRUE(worker.Send(message).ok());
    history_.Run();
  }

  InProcessCluster cluster_;
  coordinator::ProgressHistory history_{cluster_.core()};
};

v1::Progress Step(int64_t step, double loss, int64_t peak = 0) {
  v1::Progress progress;
  progress.set_done(step);
  progress.set_total(100);
  progress.set_unit("steps");
  progress.set_fraction(static_cast<double>(step) / 100);
  progress.set_loss(loss);
  progress.set_tokens_per_second(1234.5);
  progress.set_memory_peak_bytes(peak);
  progress.set_memory_planned_bytes(1000);
  return progress;
}

TEST_F(StatusPageTest, AnEmptyClusterIsAllZeros) {
  const json summary = Read("summary");
  EXPECT_EQ(summary["jobs"]["RUNNING"], 0);
  EXPECT_EQ(summary["workers"]["READY"], 0);
  EXPECT_EQ(summary["slots"], (json{{"total", 0}, {"used", 0}}));
  EXPECT_EQ(Read("jobs")["jobs"], json::array());
  EXPECT_EQ(Read("workers")["workers"], json::array());
}

TEST_F(StatusPageTest, ARunningJobHasCurvesRanksAndPlan) {
  FakeWorker& worker = cluster_.AddWorker("w", 2);
  const std::string name = cluster_.Submit(TrainSpec(2));
  cluster_.Settle();
  for (int step : {1, 2, 3}) Report(worker, 0, Step(step, 4.0 / step, 900));
  Report(worker, 1, Step(3, 0, 950));

  const json job = ReadJob(name);
  EXPECT_EQ(job["title"], "tiny");
  EXPECT_EQ(job["state"], "RUNNING");
  EXPECT_EQ(job["progress"]["done"], 3);
  EXPECT_EQ(job["progress"]["memory_peak_bytes"], 950);
  EXPECT_EQ(job["curves"]["loss"]["step"], (json{1, 2, 3}));
  EXPECT_EQ(job["curves"]["loss"]["mean"], (json{4.0, 2.0, 1.33333}));
  EXPECT_EQ(job["curves"]["validation_loss"]["step"], json::array());
  EXPECT_EQ(job["placements"][1],
            (json{{"rank", 1}, {"worker", "w"}, {"slot", 1}}));
  EXPECT_EQ(job["attempts"][0]["number"], 1);

  const json plan = Read("plan", {{"name", name}});
  ASSERT_EQ(plan["ranks"].size(), 2u);
  int64_t tokens = 0;
  for (const json& rank : plan["ranks"]) {
    for (const json& range : rank["token_ranges"]) {
      tokens += range[1].get<int64_t>() - range[0].get<int64_t>();
    }
  }
  EXPECT_EQ(tokens, TrainSpec(2).train().sequence_length());
  EXPECT_EQ(plan["ranks"][0]["token_ranges"][0][0], 0);
  EXPECT_GT(plan["ranks"][0]["memory"]["total"], 0);

  const json summary = Read("summary");
  EXPECT_EQ(summary["jobs"]["RUNNING"], 1);
  EXPECT_EQ(summary["tokens_per_second"], 1235);
  EXPECT_EQ(summary["slots"], (json{{"total", 2}, {"used", 2}}));
  const json slot = Read("workers")["workers"][0]["slots"][1];
  EXPECT_EQ(slot["job"], name);
}

TEST_F(StatusPageTest, ALossThatIsNotFiniteIsNull) {
  FakeWorker& worker = cluster_.AddWorker("w");
  const std::string name = cluster_.Submit(TrainSpec());
  cluster_.Settle();
  Report(worker, 0, Step(1, std::numeric_limits<double>::quiet_NaN()));
  const json job = ReadJob(name);
  EXPECT_TRUE(job["progress"]["loss"].is_null());
  EXPECT_EQ(job["curves"]["loss"]["mean"], json::array({nullptr}));
}

TEST_F(StatusPageTest, SaysWhyAJobWaitsAndWhyOneFailed) {
  const std::string waiting = cluster_.Submit(TrainSpec(2));
  EXPECT_THAT(ReadJob(waiting)["pending_reason"].get<std::string>(),
              HasSubstr("no worker is registered"));
  FakeWorker& worker = cluster_.AddWorker("w");
  v1::JobSpec spec = TrainSpec();
  spec.set_max_failures(1);
  const std::string failing = cluster_.Submit(spec);
  cluster_.Settle();
  worker.Report(0, v1::AssignmentStatus::FAILED, "out of \"luck\" <b>", 3);
  cluster_.Settle();
  const json jobs = Read("jobs", {{"state", "FAILED"}})["jobs"];
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0]["name"], failing);
  EXPECT_THAT(jobs[0]["error"].get<std::string>(),
              HasSubstr("out of \"luck\" <b>"));
}

TEST_F(StatusPageTest, PagesFollowEachOther) {
  for (int i = 0; i < 5; ++i) cluster_.Submit(TrainSpec());
  std::set<std::string> names;
  std::string token;
  do {
    const json page = Read("jobs", {{"page_size", "2"}, {"page_token", token}});
    EXPECT_LE(page["jobs"].size(), 2u);
    for (const json& job : page["jobs"]) names.insert(job["name"]);
    token = page["next_page_token"];
  } while (!token.empty());
  EXPECT_EQ(names.size(), 5u);
  for (const char* name : {"a", "b", "c"}) cluster_.AddWorker(name);
  const json first = Read("workers", {{"page_size", "2"}});
  EXPECT_EQ(first["workers"].size(), 2u);
  EXPECT_EQ(Read("workers", {{"page_token",
                              first["next_page_token"]}})["workers"][0]["name"],
            "c");
}

TEST_F(StatusPageTest, PromptsTextAndSecretsAreNotShown) {
  cluster_.AddWorker("w");
  v1::JobSpec spec = GenerateSpec();
  spec.mutable_generate()->set_text("my private prompt");
  (*spec.mutable_env())["NCCL_SOCKET_IFNAME"] = "private-interface";
  const std::string name = cluster_.Submit(spec);
  cluster_.Settle();
  cluster_.workers()[0]->Report(0, v1::AssignmentStatus::SUCCEEDED);
  cluster_.Settle();
  for (const std::string& body :
       {Ask("/status/v1/job", {{"name", name}}).body,
        Ask("/status/v1/jobs").body, Ask("/status/v1/workers").body,
        Ask("/status/v1/plan", {{"name", name}}).body}) {
    EXPECT_THAT(body, Not(HasSubstr("private")));
    EXPECT_THAT(body, Not(HasSubstr("secret")));
  }
  EXPECT_EQ(ReadJob(name)["title"], "");  // the spec has no name
}

TEST_F(StatusPageTest, MistakesAreRefusedByName) {
  const std::map<std::string, std::pair<std::string, Query>> mistakes = {
      {"not from 1 to 200", {"jobs", {{"page_size", "1000"}}}},
      {"page_size 'x'", {"workers", {{"page_size", "x"}}}},
      {"state 'WAITING'", {"jobs", {{"state", "WAITING"}}}},
      {"page_token", {"jobs", {{"page_token", "?"}}}},
      {"job name", {"job", {{"name", "x"}}}}};
  for (const auto& [sentence, question] : mistakes) {
    const HttpResponse response =
        Ask("/status/v1/" + question.first, question.second);
    EXPECT_EQ(response.status, 400) << sentence;
    EXPECT_THAT(response.body, HasSubstr(sentence));
  }
  for (const char* name : {"job", "plan"}) {
    EXPECT_EQ(Ask(std::string("/status/v1/") + name,
                  {{"name", "tenants/default/jobs/none"}})
                  .status,
              404);
  }
}

TEST_F(StatusPageTest, ServesThePage) {
  EXPECT_THAT(Ask("/").body, HasSubstr("<title>Longspan</title>"));
  EXPECT_EQ(Ask("/").content_type, "text/html; charset=utf-8");
  EXPECT_EQ(Ask("/page/main.js").content_type,
            "text/javascript; charset=utf-8");
}

// What validation would refuse today may be in an old journal.
TEST(JobJsonTest, TextIsCutAndBytesThatAreNotTextAreReplaced) {
  v1::JobSpec spec = TrainSpec();
  spec.set_name("<script>" + std::string(1000, 'x'));
  auto job = std::make_shared<Job>();
  job->name = coordinator::JobName("tenants/default/jobs/j");
  job->spec = std::make_shared<const std::string>(spec.SerializeAsString());
  job->error = "bad \xff byte" + std::string(10000, 'e');
  const json out = coordinator::JobSummaryJson(JobView{job, {}, {}});
  const std::string text =
      out.dump(-1, ' ', false, json::error_handler_t::replace);
  EXPECT_LT(text.size(), 6000u);
  EXPECT_THAT(text, HasSubstr("<script>xxx"));
  EXPECT_THAT(text, HasSubstr("bad \xEF\xBF\xBD byte"));
}

}  // namespace
}  // namespace longspan::testing

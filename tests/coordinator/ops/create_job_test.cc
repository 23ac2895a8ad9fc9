// CreateJob: what is accepted, what is refused and how, idempotency, limits.
#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"
#include "tests/support/in_process_cluster/in_process_cluster.h"
#include "tests/support/in_process_cluster/sample_spec.h"

namespace longspan::testing {
namespace {

using coordinator::CreateJob;

google::rpc::BadRequest Violations(const absl::Status& status) {
  google::rpc::BadRequest request;
  const auto payload =
      status.GetPayload("type.googleapis.com/google.rpc.BadRequest");
  EXPECT_TRUE(payload.has_value()) << status;
  if (!payload) return request;
  EXPECT_TRUE(request.ParseFromString(std::string(*payload)));
  return request;
}

std::string Reason(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  const auto payload =
      status.GetPayload("type.googleapis.com/google.rpc.ErrorInfo");
  if (!payload) return "";
  EXPECT_TRUE(info.ParseFromString(std::string(*payload)));
  EXPECT_EQ(info.domain(), "longspan");
  return info.reason();
}

v1::CreateJobRequest Request(const v1::JobSpec& spec,
                             const std::string& id = "") {
  v1::CreateJobRequest request;
  *request.mutable_spec() = spec;
  request.set_request_id(id);
  return request;
}

TEST(CreateJobTest, AcceptedJobIsPlannedNamedAndJournaled) {
  InProcessCluster cluster;
  const auto response = CreateJob(cluster.core(), Request(TrainSpec(2)));
  ASSERT_TRUE(response.ok()) << response.status();
  const v1::Job& job = response->job();
  EXPECT_EQ(job.name().rfind("tenants/default/jobs/tiny-", 0), 0u);
  EXPECT_EQ(job.state(), v1::PENDING);
  EXPECT_EQ(job.queue_position(), 1);
  EXPECT_NE(job.pending_reason().find("no worker is registered"),
            std::string::npos);
  EXPECT_EQ(job.spec().train().checkpoint().uri(),
            "outputs://" + job.name().substr(21) + "/checkpoints");
  EXPECT_EQ(job.spec().train().batch_size(), 1) << "defaults are resolved";
  ASSERT_EQ(response->plan().ranks_size(), 2);
  // Half of the layers see all earlier tokens: zigzag, in 4 parts of 128.
  ASSERT_EQ(response->plan().ranks(1).token_ranges_size(), 2);
  EXPECT_EQ(response->plan().ranks(1).token_ranges(0).begin(), 128);
  EXPECT_EQ(response->plan().ranks(1).token_ranges(1).begin(), 256);
  EXPECT_GT(response->plan().ranks(0).memory().total(), 0);
  EXPECT_EQ(cluster.journal().Contents().entries.size(), 1u);
}

// What the planner chose is journaled: a later program keeps it.
TEST(CreateJobTest, TheChosenLayoutIsWrittenIntoTheJob) {
  InProcessCluster cluster;
  v1::JobSpec spec = TrainSpec(4);
  spec.mutable_train()->set_sequence_length(32768);
  const auto layout_of = [&](const v1::JobSpec& asked) {
    const auto response = CreateJob(cluster.core(), Request(asked));
    EXPECT_TRUE(response.ok()) << response.status();
    return response->job().spec().train().layout();
  };
  spec.mutable_train()->mutable_model()->set_layer_pattern("LN");
  EXPECT_EQ(layout_of(spec), v1::TokenLayout::ZIGZAG);
  spec.mutable_train()->set_layout(v1::TokenLayout::CONTIGUOUS);
  EXPECT_EQ(layout_of(spec), v1::TokenLayout::CONTIGUOUS);
  spec.mutable_train()->set_layout(v1::TokenLayout::AUTO);
  spec.mutable_train()->mutable_model()->set_layer_pattern("L");
  EXPECT_EQ(layout_of(spec), v1::TokenLayout::CONTIGUOUS);
}

TEST(CreateJobTest, ValidateOnlyChangesNothing) {
  InProcessCluster cluster;
  v1::CreateJobRequest request = Request(TrainSpec(2));
  request.set_validate_only(true);
  const auto response = CreateJob(cluster.core(), request);
  ASSERT_TRUE(response.ok());
  EXPECT_TRUE(response->job().name().empty());
  EXPECT_EQ(response->plan().ranks_size(), 2);
  EXPECT_TRUE(cluster.journal().Contents().entries.empty());
}

TEST(CreateJobTest, TextErrorsNameLines) {
  InProcessCluster cluster;
  v1::CreateJobRequest request;
  request.mutable_text()->set_file_name("job.yaml");
  request.mutable_text()->set_content(
      "name: tiny\ntrain:\n  stepz: 10\n  batch_size: -3\n");
  const auto response = CreateJob(cluster.core(), request);
  EXPECT_EQ(response.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Reason(response.status()), "INVALID_JOB_SPEC");
  const auto violations = Violations(response.status());
  EXPECT_GE(violations.field_violations_size(), 2);
  bool found = false;
  for (const auto& violation : violations.field_violations()) {
    found |= violation.description().rfind("job.yaml:3:", 0) == 0;
  }
  EXPECT_TRUE(found) << response.status();
}

TEST(CreateJobTest, DetailsStayBelowFourKilobytes) {
  InProcessCluster cluster;
  std::string text = "name: tiny\n";
  for (int i = 0; i < 500; ++i) {
    text += "mistake_number_" + std::to_string(i) + ": 1\n";
  }
  v1::CreateJobRequest request;
  request.mutable_text()->set_content(text);
  const auto response = CreateJob(cluster.core(), request);
  EXPECT_LT(Violations(response.status()).ByteSizeLong(), 4096u);
  EXPECT_GT(Violations(response.status()).field_violations_size(), 5);
}

TEST(CreateJobTest, RefusesWhatCannotRun) {
  InProcessCluster cluster;
  FakeWorkerOptions small;
  small.memory_bytes = 1 << 20;
  cluster.AddWorker(small);
  v1::JobSpec spec = TrainSpec(1);
  spec.mutable_train()->set_sequence_length(1 << 20);
  const auto response = CreateJob(cluster.core(), Request(spec));
  EXPECT_EQ(Reason(response.status()), "JOB_CANNOT_RUN");
  EXPECT_EQ(Violations(response.status()).field_violations(0).field(),
            "train.sequence_length");
  EXPECT_NE(response.status().message().find("1.0 MiB"), std::string::npos)
      << response.status();
}

TEST(CreateJobTest, SameRequestIdSameJob) {
  InProcessCluster cluster;
  const std::string first = cluster.Submit(TrainSpec(), "id-1");
  EXPECT_EQ(cluster.Submit(TrainSpec(), "id-1"), first);
  EXPECT_NE(cluster.Submit(TrainSpec(), "id-2"), first);
  EXPECT_NE(cluster.Submit(TrainSpec()), cluster.Submit(TrainSpec()));
  const auto other = CreateJob(cluster.core(), Request(TrainSpec(2), "id-1"));
  EXPECT_EQ(other.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Reason(other.status()), "REQUEST_ID_REUSED");
}

TEST(CreateJobTest, SameRequestIdSameJobAcrossARestart) {
  InProcessCluster cluster;
  const std::string first = cluster.Submit(TrainSpec(), "id-1");
  cluster.RestartCoordinator();
  EXPECT_EQ(cluster.Submit(TrainSpec(), "id-1"), first);
}

TEST(CreateJobTest, BadRequestsAreRefused) {
  InProcessCluster cluster;
  v1::CreateJobRequest empty;
  EXPECT_EQ(Reason(CreateJob(cluster.core(), empty).status()),
            "INVALID_JOB_SPEC");
  v1::CreateJobRequest parent = Request(TrainSpec());
  parent.set_parent("projects/x");
  EXPECT_EQ(Reason(CreateJob(cluster.core(), parent).status()),
            "INVALID_PARENT");
  for (const std::string& id :
       {std::string("two words"), std::string("\n"), std::string(65, 'x')}) {
    EXPECT_EQ(
        Reason(CreateJob(cluster.core(), Request(TrainSpec(), id)).status()),
        "INVALID_REQUEST_ID");
  }
}

TEST(CreateJobTest, FullQueueIsRefused) {
  InProcessCluster cluster(
      [](coordinator::CoreOptions& o) { o.max_unfinished_jobs = 2; });
  cluster.Submit(TrainSpec());
  const std::string second = cluster.Submit(TrainSpec());
  EXPECT_EQ(Reason(CreateJob(cluster.core(), Request(TrainSpec())).status()),
            "QUEUE_FULL");
  v1::CancelJobRequest cancel;
  cancel.set_name(second);
  ASSERT_TRUE(coordinator::CancelJob(cluster.core(), cancel).ok());
  cluster.Submit(TrainSpec());
}

TEST(CreateJobTest, NothingIsAcknowledgedThatIsNotJournaled) {
  InProcessCluster cluster;
  cluster.journal().FailWith(absl::ResourceExhaustedError("disk full"));
  const auto response = CreateJob(cluster.core(), Request(TrainSpec(), "id"));
  EXPECT_EQ(response.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Reason(response.status()), "JOURNAL_UNAVAILABLE");
  v1::ListJobsRequest list;
  EXPECT_EQ(coordinator::ListJobs(cluster.core(), list)->jobs_size(), 0);
  cluster.RunDuties();
  auto journal_works = [&] {
    MutexLock lock(cluster.core().mu);
    return cluster.core().journal_status.ok();
  };
  EXPECT_FALSE(journal_works());
  cluster.journal().FailWith(absl::OkStatus());
  cluster.RunDuties();
  EXPECT_TRUE(journal_works()) << "healthy again without a request";
  cluster.Submit(TrainSpec(), "id");
}

TEST(CreateJobTest, ModelOfAJobBecomesItsCheckpoints) {
  InProcessCluster cluster;
  FakeWorker& worker = cluster.AddWorker("w");
  const std::string train = cluster.Submit(TrainSpec());
  v1::JobSpec generate = GenerateSpec();
  generate.mutable_generate()->mutable_model()->set_job(train);
  auto early = CreateJob(cluster.core(), Request(generate));
  EXPECT_EQ(Violations(early.status()).field_violations(0).field(),
            "generate.model.job");
  cluster.Settle();
  worker.Report(0, v1::AssignmentStatus::SUCCEEDED);
  ASSERT_EQ(cluster.StateOf(train), v1::SUCCEEDED);
  auto response = CreateJob(cluster.core(), Request(generate));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->job().spec().generate().model().uri(),
            cluster.Get(train).spec().train().checkpoint().uri());
  EXPECT_GT(response->plan().parameter_count(), 0) << "its model is known";
}

}  // namespace
}  // namespace longspan::testing

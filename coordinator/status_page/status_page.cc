#include "coordinator/status_page/status_page.h"

#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/base/version.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/job_operations.h"
#include "coordinator/ops/plan_spec.h"
#include "coordinator/ops/plan_to_wire.h"
#include "coordinator/plan/job_plan.h"
#include "coordinator/status_page/job_json.h"
#include "coordinator/status_page/job_selection.h"
#include "coordinator/status_page/page_files.h"
#include "coordinator/status_page/progress_history.h"
#include "coordinator/status_page/worker_json.h"
#include "nlohmann/json.hpp"

namespace longspan::coordinator {
namespace {

using nlohmann::json;

constexpr int kWorkerPage = 200;
constexpr int kLargestPage = 200;

absl::StatusOr<int> ReadPageSize(const HttpRequest& request, int otherwise) {
  const std::string text = request.Value("page_size");
  int size = otherwise;
  if (!text.empty() &&
      (!absl::SimpleAtoi(text, &size) || size < 1 || size > kLargestPage)) {
    return absl::InvalidArgumentError(
        absl::StrCat("page_size '", text, "' is not from 1 to ", kLargestPage));
  }
  return size;
}

absl::StatusOr<std::set<JobState>> ReadStates(const HttpRequest& request) {
  std::set<JobState> states;
  for (const std::string& text : request.Values("state")) {
    const size_t before = states.size();
    for (JobState state : kAllJobStates) {
      if (text == JobStateName(state)) states.insert(state);
    }
    if (states.size() == before) {
      return absl::InvalidArgumentError(absl::StrCat(
          "state '", text, "' is repeated, or not a state such as RUNNING"));
    }
  }
  return states;
}

JobView ViewOf(const Core& core, const JobSnapshot& job) REQUIRES(core.mu) {
  JobView view = {job};
  const auto pending = core.pending.find(job->name);
  if (pending != core.pending.end()) view.pending = pending->second;
  if (const JobProgress* progress = core.progress.Find(job->name)) {
    view.progress = progress->progress;
  }
  return view;
}

absl::StatusOr<JobSnapshot> FindJob(const Core& core,
                                    const HttpRequest& request)
    REQUIRES(core.mu) {
  const std::string name = request.Value("name");
  RETURN_IF_ERROR(ParseJobName(name).status());
  JobSnapshot job = core.jobs.Find(JobName(name));
  if (job == nullptr) {
    return absl::NotFoundError(absl::StrCat("there is no job ", name));
  }
  return job;
}

// ---- what is asked

json CountsOfJobs(const Core& core) REQUIRES(core.mu) {
  std::map<JobState, int> counts;
  for (const auto& [name, job] : core.jobs.jobs()) ++counts[job->state];
  json out = json::object();
  for (JobState state : kAllJobStates) {
    out[JobStateName(state)] = counts[state];
  }
  return out;
}

void AddWorkers(const Core& core, json& out) REQUIRES(core.mu) {
  std::map<WorkerState, int> counts;
  size_t slots = 0, used = 0;
  for (const auto& [name, worker] : core.workers.workers()) {
    ++counts[worker.state];
    slots += worker.info.devices.size();
    used += worker.uses.size();
  }
  for (WorkerState state : kAllWorkerStates) {
    out["workers"][WorkerStateName(state)] = counts[state];
  }
  out["slots"] = {{"total", slots}, {"used", used}};
}

double TokensPerSecond(const Core& core) REQUIRES(core.mu) {
  double sum = 0;
  for (const auto& [name, progress] : core.progress.all()) {
    const JobSnapshot job = core.jobs.Find(name);
    if (job != nullptr && job->state == JobState::kRunning) {
      sum += progress.progress.tokens_per_second();
    }
  }
  return sum;
}

absl::StatusOr<json> AnswerSummary(Core& core) {
  MutexLock lock(core.mu);
  json out = {
      {"build", absl::StrCat(Version(), " (", BuildStamp(), ")")},
      {"jobs", CountsOfJobs(core)},
      {"tokens_per_second", std::round(TokensPerSecond(core))},
      {"lease_seconds", absl::ToDoubleSeconds(core.options.leases.lease)}};
  AddWorkers(core, out);
  return out;
}

absl::StatusOr<json> AnswerJobs(Core& core, const HttpRequest& request) {
  JobSelection selection;
  ASSIGN_OR_RETURN(selection.states, ReadStates(request));
  ASSIGN_OR_RETURN(selection.page_size,
                   ReadPageSize(request, selection.page_size));
  selection.page_token = request.Value("page_token");
  std::vector<JobView> views;
  json out;
  {
    MutexLock lock(core.mu);
    ASSIGN_OR_RETURN(const JobPage page, SelectJobs(core.jobs, selection));
    out["next_page_token"] = page.next_page_token;
    for (const JobSnapshot& job : page.jobs) views.push_back(ViewOf(core, job));
  }
  out["jobs"] = json::array();
  for (const JobView& view : views) out["jobs"].push_back(JobSummaryJson(view));
  return out;
}

absl::StatusOr<json> AnswerJob(Core& core, const ProgressHistory& history,
                               const HttpRequest& request) {
  JobView view;
  {
    MutexLock lock(core.mu);
    ASSIGN_OR_RETURN(const JobSnapshot job, FindJob(core, request));
    view = ViewOf(core, job);
  }
  return JobDetailJson(view, history.Find(view.job->name));
}

absl::StatusOr<json> AnswerPlan(Core& core, const HttpRequest& request) {
  PlanRequest asked;
  {
    MutexLock lock(core.mu);
    ASSIGN_OR_RETURN(const JobSnapshot job, FindJob(core, request));
    asked = PlanRequestOf(core, *job);
  }
  return PlanJson(PlanToWire(PlanJob(asked).plan));
}

absl::StatusOr<json> AnswerWorkers(Core& core, const HttpRequest& request) {
  ASSIGN_OR_RETURN(const int page_size, ReadPageSize(request, kWorkerPage));
  v1::ListWorkersRequest list;
  list.set_page_size(page_size);
  list.set_page_token(request.Value("page_token"));
  ASSIGN_OR_RETURN(const v1::ListWorkersResponse page, ListWorkers(core, list));
  json out = {{"workers", json::array()},
              {"next_page_token", page.next_page_token()}};
  for (const v1::Worker& worker : page.workers()) {
    out["workers"].push_back(WorkerJson(worker));
  }
  return out;
}

// ---- how it is served

using Question = std::function<absl::StatusOr<json>(const HttpRequest&)>;

HttpResponse JsonResponse(const json& value) {
  return {200, "application/json",
          value.dump(-1, ' ', false, json::error_handler_t::replace)};
}

HttpResponse ErrorResponse(const absl::Status& status) {
  HttpResponse response;
  response.status = status.code() == absl::StatusCode::kNotFound ? 404 : 400;
  response.body = absl::StrCat(status.message(), "\n");
  return response;
}

// Readers take turns: however many there are, the core meets one at a time.
HttpRoute JsonRoute(const std::string& name, Question question, Core& core,
                    const std::shared_ptr<Mutex>& turn) {
  return {absl::StrCat("/status/v1/", name),
          [question, &core, turn](const HttpRequest& request) {
            MutexLock lock(*turn);
            absl::StatusOr<json> answer = question(request);
            if (!answer.ok()) return ErrorResponse(answer.status());
            (*answer)["now"] = TimeJson(core.wall());
            return JsonResponse(*answer);
          }};
}

HttpRoute FileRoute(const PageFile& file) {
  const HttpResponse response = {200, ContentTypeOf(file.name),
                                 std::string(file.content)};
  const std::string path = file.name == "index.html"
                               ? "/"
                               : absl::StrCat("/page/", std::string(file.name));
  return {path, [response](const HttpRequest&) { return response; }};
}

}  // namespace

std::vector<HttpRoute> StatusPageRoutes(Core& core,
                                        const ProgressHistory& history) {
  const auto turn = std::make_shared<Mutex>();
  const auto route = [&](const char* name, Question question) {
    return JsonRoute(name, std::move(question), core, turn);
  };
  std::vector<HttpRoute> routes = {
      route("summary",
            [&core](const HttpRequest&) { return AnswerSummary(core); }),
      route("jobs",
            [&core](const HttpRequest& r) { return AnswerJobs(core, r); }),
      route("job",
            [&core, &history](const HttpRequest& r) {
              return AnswerJob(core, history, r);
            }),
      route("plan",
            [&core](const HttpRequest& r) { return AnswerPlan(core, r); }),
      route("workers",
            [&core](const HttpRequest& r) { return AnswerWorkers(core, r); })};
  for (const PageFile& file : PageFiles()) routes.push_back(FileRoute(file));
  return routes;
}

}  // namespace longspan::coordinator

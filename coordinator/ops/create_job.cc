#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/sha256.h"
#include "common/base/status_macros.h"
#include "common/job_spec/defaults.h"
#include "common/job_spec/parse_job_spec.h"
#include "common/job_spec/validate.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/errors.h"
#include "coordinator/ops/job_operations.h"
#include "coordinator/ops/job_to_wire.h"
#include "coordinator/ops/plan_spec.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

namespace longspan::coordinator {
namespace {

constexpr size_t kMaxRequestIdBytes = 64;

// The same bytes for equal specs: maps are sorted.
std::string Serialize(const v1::JobSpec& spec) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  spec.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

FieldViolation ViolationOf(const std::string& file,
                           const SpecViolation& violation) {
  if (violation.line == 0) return {violation.path, violation.message};
  return {violation.path,
          absl::StrCat(file, ":", violation.line, ":", violation.column, ": ",
                       violation.message)};
}

absl::Status SpecError(const std::string& file,
                       const std::vector<SpecViolation>& violations) {
  std::vector<FieldViolation> fields;
  for (const SpecViolation& violation : violations) {
    fields.push_back(ViolationOf(file, violation));
  }
  return BadRequest("INVALID_JOB_SPEC", fields);
}

// The spec with defaults resolved, from whichever form was sent.
absl::StatusOr<v1::JobSpec> ReadSpec(const v1::CreateJobRequest& request) {
  v1::JobSpec spec;
  std::vector<SpecViolation> violations;
  const std::string& file = request.text().file_name();
  switch (request.source_case()) {
    case v1::CreateJobRequest::kText:
      violations = ParseJobSpec(request.text().content(), file, &spec);
      break;
    case v1::CreateJobRequest::kSpec:
      spec = request.spec();
      longspan::ResolveDefaults(&spec);
      violations = ValidateSpec(spec);
      break;
    case v1::CreateJobRequest::SOURCE_NOT_SET:
      return BadRequest("INVALID_JOB_SPEC",
                        {{"spec", "a job needs a spec or its text"}});
  }
  if (!violations.empty()) {
    return SpecError(file.empty() ? "spec" : file, violations);
  }
  return spec;
}

absl::Status CheckRequestId(const std::string& id) {
  for (char c : id) {
    if (!absl::ascii_isgraph(c)) {
      return BadRequest("INVALID_REQUEST_ID",
                        {{"request_id", "use printable ASCII, as in a UUID"}});
    }
  }
  if (id.size() <= kMaxRequestIdBytes) return absl::OkStatus();
  return BadRequest(
      "INVALID_REQUEST_ID",
      {{"request_id", absl::StrCat(id.size(), " bytes: at most ",
                                   kMaxRequestIdBytes, " are possible")}});
}

// "tiny-4f9a1c02" for a spec named "tiny".
std::string NewJobId(Core& core, const v1::JobSpec& spec) REQUIRES(core.mu) {
  std::string stem = spec.name().empty() ? JobKindName(KindOf(spec))
                                         : spec.name().substr(0, 50);
  while (stem.back() == '-') stem.pop_back();
  return absl::StrCat(stem, "-",
                      absl::BytesToHexString(core.options.random_bytes(4)));
}

size_t CountUnfinished(const JobTable& jobs) {
  size_t count = 0;
  for (const auto& [name, job] : jobs.jobs()) count += !IsFinal(job->state);
  return count;
}

absl::Status CheckRoom(Core& core) REQUIRES(core.mu) {
  if (core.stopping) {
    return WithReason(absl::UnavailableError("the coordinator is stopping"),
                      "STOPPING");
  }
  const size_t unfinished = CountUnfinished(core.jobs);
  if (unfinished < core.options.max_unfinished_jobs) return absl::OkStatus();
  return WithReason(absl::ResourceExhaustedError(absl::StrCat(
                        unfinished, " jobs are unfinished, and ",
                        core.options.max_unfinished_jobs,
                        " is the limit: try again when some have ended")),
                    "QUEUE_FULL");
}

v1::CreateJobResponse ResponseFor(Core& core, const JobName& name,
                                  const v1::JobSpec& spec) REQUIRES(core.mu) {
  v1::CreateJobResponse response;
  *response.mutable_job() = JobToWire(core, *core.jobs.Find(name));
  *response.mutable_plan() = PlanSpec(core, spec).plan;
  return response;
}

// The job of an earlier request with the same id, if there was one.
absl::StatusOr<std::optional<v1::CreateJobResponse>> FindEarlier(
    Core& core, const std::string& tenant, const std::string& request_id,
    const std::string& digest) REQUIRES(core.mu) {
  if (request_id.empty()) return std::nullopt;
  const JobSnapshot earlier = core.jobs.FindByRequest(tenant, request_id);
  if (earlier == nullptr) return std::nullopt;
  if (earlier->spec_digest != digest) {
    return WithReason(
        absl::AlreadyExistsError(absl::StrCat(
            "request id ", request_id, " was used for ", earlier->name.value(),
            " with another spec: choose a new request id")),
        "REQUEST_ID_REUSED", {{"job", earlier->name.value()}});
  }
  v1::JobSpec spec;
  if (!spec.ParseFromString(*earlier->spec)) {
    return absl::InternalError("the journaled spec cannot be read");
  }
  return ResponseFor(core, earlier->name, spec);
}

absl::StatusOr<SpecPlan> Accept(Core& core, const std::string& id,
                                v1::JobSpec& spec) REQUIRES(core.mu) {
  std::vector<FieldViolation> violations = ResolveSources(core, id, &spec);
  if (!violations.empty()) return BadRequest("INVALID_JOB_SPEC", violations);
  SpecPlan plan = PlanSpec(core, spec);
  if (!plan.violations.empty()) {
    return BadRequest("JOB_CANNOT_RUN", plan.violations);
  }
  // What the planner chose goes into the journal, so that later attempts, and
  // later programs that would choose otherwise, keep it.
  if (spec.has_train()) spec.mutable_train()->set_layout(plan.layout);
  return plan;
}

v1::CreateJobResponse ValidatedResponse(const v1::JobSpec& spec,
                                        SpecPlan plan) {
  v1::CreateJobResponse response;
  *response.mutable_job()->mutable_spec() = spec;
  *response.mutable_plan() = std::move(plan.plan);
  return response;
}

absl::Status CommitCreated(Core& core, const JobName& name,
                           const v1::CreateJobRequest& request,
                           const v1::JobSpec& spec, const std::string& digest,
                           const JobDemand& demand) REQUIRES(core.mu) {
  JobCreated created;
  created.kind = KindOf(spec);
  created.spec = std::make_shared<const std::string>(Serialize(spec));
  created.spec_digest = digest;
  created.demand = demand;
  created.request_id = request.request_id();
  return core.Commit({{name, core.wall(), std::move(created)}});
}

}  // namespace

absl::StatusOr<v1::CreateJobResponse> CreateJob(
    Core& core, const v1::CreateJobRequest& request) {
  absl::StatusOr<std::string> tenant = ParseTenant(request.parent());
  if (!tenant.ok()) return WithReason(tenant.status(), "INVALID_PARENT");
  RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  ASSIGN_OR_RETURN(v1::JobSpec spec, ReadSpec(request));
  const std::string digest = Sha256::Hex(Serialize(spec));

  MutexLock lock(core.mu);
  ASSIGN_OR_RETURN(std::optional<v1::CreateJobResponse> earlier,
                   FindEarlier(core, *tenant, request.request_id(), digest));
  if (earlier && !request.validate_only()) return *std::move(earlier);
  RETURN_IF_ERROR(CheckRoom(core));
  const std::string id = NewJobId(core, spec);
  const JobName name = MakeJobName(*tenant, id);
  ASSIGN_OR_RETURN(SpecPlan plan, Accept(core, id, spec));
  if (request.validate_only()) return ValidatedResponse(spec, std::move(plan));
  RETURN_IF_ERROR(
      CommitCreated(core, name, request, spec, digest, plan.demand));
  core.Reschedule();
  return ResponseFor(core, name, spec);
}

}  // namespace longspan::coordinator

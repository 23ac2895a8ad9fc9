#include "coordinator/store/journal_record.h"

#include <memory>
#include <utility>

#include "longspan/internal/journal.pb.h"

namespace longspan::coordinator {
namespace {

using internal::JournalRecord;

std::shared_ptr<const std::string> Share(std::string bytes) {
  return std::make_shared<const std::string>(std::move(bytes));
}

std::string BytesOf(const std::shared_ptr<const std::string>& bytes) {
  return bytes == nullptr ? std::string() : *bytes;
}

void Encode(const JobCreated& e, JournalRecord& record) {
  internal::CreatedRecord& out = *record.mutable_created();
  out.set_spec(BytesOf(e.spec));
  out.set_kind(JobKindName(e.kind));
  out.set_request_id(e.request_id);
  out.set_spec_digest(e.spec_digest);
  out.set_ranks(e.demand.ranks);
  out.set_replica_ranks(e.demand.replica_ranks);
  out.set_backend(e.demand.backend);
  out.set_threads(e.demand.threads);
  out.set_priority(e.demand.priority);
  out.set_max_failures(e.demand.max_failures);
  out.set_memory_bytes(e.demand.memory_bytes);
  for (const std::string& root : e.demand.roots) out.add_roots(root);
}

void Encode(const GangPlaced& e, JournalRecord& record) {
  internal::PlacedRecord& out = *record.mutable_placed();
  out.set_attempt(e.attempt);
  out.set_epoch(e.epoch);
  out.set_secret(e.secret);
  for (const Placement& placement : e.placements) {
    internal::PlacementRecord& p = *out.add_placements();
    p.set_rank(placement.rank);
    p.set_worker(placement.worker);
    p.set_slot(placement.slot);
  }
}

void Encode(const AttemptRunning& e, JournalRecord& record) {
  record.mutable_running()->set_attempt(e.attempt);
  record.mutable_running()->set_resumed_step(e.resumed_step);
}

void Encode(const RankFailed& e, JournalRecord& record) {
  internal::RankFailedRecord& out = *record.mutable_rank_failed();
  out.set_attempt(e.attempt);
  out.set_rank(e.rank);
  out.set_code(static_cast<int>(e.code));
  out.set_error(e.error);
}

void Encode(const CheckpointRecorded& e, JournalRecord& record) {
  record.mutable_checkpoint()->set_attempt(e.attempt);
  record.mutable_checkpoint()->set_step(e.step);
}

void Encode(const AttemptEnded& e, JournalRecord& record) {
  record.mutable_attempt_ended()->set_attempt(e.attempt);
  record.mutable_attempt_ended()->set_reason(e.reason);
}

void Encode(const JobRequeued& e, JournalRecord& record) {
  record.mutable_requeued()->set_reason(e.reason);
}

void Encode(const CancelRequested& e, JournalRecord& record) {
  record.mutable_cancel_requested()->set_reason(e.reason);
}

void Encode(const JobSucceeded& e, JournalRecord& record) {
  record.mutable_succeeded()->set_attempt(e.attempt);
  record.mutable_succeeded()->set_result(BytesOf(e.result));
}

void Encode(const JobFailed& e, JournalRecord& record) {
  record.mutable_failed()->set_error(e.error);
}

void Encode(const JobCancelled&, JournalRecord& record) {
  record.mutable_cancelled();
}

void Encode(const JobDeleted&, JournalRecord& record) {
  record.mutable_deleted();
}

absl::StatusOr<JobKind> KindOf(const std::string& name) {
  for (JobKind kind :
       {JobKind::kTrain, JobKind::kEvaluate, JobKind::kGenerate}) {
    if (name == JobKindName(kind)) return kind;
  }
  return absl::FailedPreconditionError("unknown job kind '" + name +
                                       "': a newer version wrote it");
}

absl::StatusOr<JobEventBody> DecodeCreated(const internal::CreatedRecord& in) {
  absl::StatusOr<JobKind> kind = KindOf(in.kind());
  if (!kind.ok()) return kind.status();
  JobCreated e;
  e.kind = *kind;
  e.spec = Share(in.spec());
  e.spec_digest = in.spec_digest();
  e.request_id = in.request_id();
  e.demand.ranks = in.ranks();
  e.demand.replica_ranks = in.replica_ranks();
  e.demand.backend = in.backend();
  e.demand.threads = in.threads();
  e.demand.priority = in.priority();
  e.demand.max_failures = in.max_failures();
  e.demand.memory_bytes = in.memory_bytes();
  e.demand.roots.assign(in.roots().begin(), in.roots().end());
  return e;
}

JobEventBody DecodePlaced(const internal::PlacedRecord& in) {
  GangPlaced e{in.attempt(), in.epoch(), in.secret(), {}};
  for (const internal::PlacementRecord& p : in.placements()) {
    e.placements.push_back({p.rank(), p.worker(), p.slot()});
  }
  return e;
}

JobEventBody DecodeRankFailed(const internal::RankFailedRecord& in) {
  return RankFailed{in.attempt(), in.rank(),
                    static_cast<absl::StatusCode>(in.code()), in.error()};
}

}  // namespace

std::string EncodeJournalRecord(const JobEventBody& body) {
  JournalRecord record;
  std::visit([&](const auto& e) { Encode(e, record); }, body);
  return record.SerializeAsString();
}

absl::StatusOr<JobEventBody> DecodeJournalRecord(const std::string& bytes) {
  JournalRecord record;
  if (!record.ParseFromString(bytes)) {
    return absl::DataLossError("the bytes are no journal record");
  }
  switch (record.event_case()) {
    case JournalRecord::kCreated:
      return DecodeCreated(record.created());
    case JournalRecord::kPlaced:
      return DecodePlaced(record.placed());
    case JournalRecord::kRunning:
      return AttemptRunning{record.running().attempt(),
                            record.running().resumed_step()};
    case JournalRecord::kRankFailed:
      return DecodeRankFailed(record.rank_failed());
    case JournalRecord::kCheckpoint:
      return CheckpointRecorded{record.checkpoint().attempt(),
                                record.checkpoint().step()};
    case JournalRecord::kAttemptEnded:
      return AttemptEnded{record.attempt_ended().attempt(),
                          record.attempt_ended().reason()};
    case JournalRecord::kRequeued:
      return JobRequeued{record.requeued().reason()};
    case JournalRecord::kCancelRequested:
      return CancelRequested{record.cancel_requested().reason()};
    case JournalRecord::kSucceeded:
      return JobSucceeded{record.succeeded().attempt(),
                          Share(record.succeeded().result())};
    case JournalRecord::kFailed:
      return JobFailed{record.failed().error()};
    case JournalRecord::kCancelled:
      return JobCancelled{};
    case JournalRecord::kDeleted:
      return JobDeleted{};
    case JournalRecord::EVENT_NOT_SET:
      break;
  }
  return absl::FailedPreconditionError(
      "the record holds an event that this version does not know");
}

}  // namespace longspan::coordinator

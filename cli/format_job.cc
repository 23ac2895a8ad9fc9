#include "cli/format_job.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/units.h"

namespace longspan::cli {
namespace {

void Append(std::vector<std::string>* parts, const std::string& part) {
  if (!part.empty()) parts->push_back(part);
}

std::string MemoryText(int64_t peak, int64_t planned) {
  if (peak == 0) return "";
  std::string text = absl::StrCat("memory ", FormatBytes(peak));
  if (planned == 0) return text;
  return absl::StrCat(text, " (planned ", FormatBytes(planned), ")");
}

std::string RateText(double tokens_per_second) {
  if (tokens_per_second <= 0) return "";
  return absl::StrCat(FormatCount(tokens_per_second), " tokens/s");
}

std::string TrainResultText(const v1::TrainResult& train) {
  std::vector<std::string> parts = {
      absl::StrFormat("loss %.4f nats/token", train.loss())};
  if (train.validation_loss() > 0) {
    parts.push_back(
        absl::StrFormat("validation %.4f", train.validation_loss()));
  }
  parts.push_back(absl::StrCat(train.steps(), " steps"));
  Append(&parts, FormatCount(static_cast<double>(train.tokens())) + " tokens");
  Append(&parts, RateText(train.tokens_per_second()));
  Append(&parts,
         MemoryText(train.memory_peak_bytes(), train.memory_planned_bytes()));
  if (train.skipped_steps() > 0) {
    parts.push_back(absl::StrCat(train.skipped_steps(),
                                 " steps skipped (gradients not finite)"));
  }
  return absl::StrCat("result      ", absl::StrJoin(parts, ", "),
                      "\ncheckpoint  ", train.checkpoint_uri(),
                      "\ndigest      ", train.parameter_digest(), "\n");
}

std::string EvaluateResultText(const v1::EvaluateResult& evaluate) {
  std::string out = absl::StrFormat(
      "result      %.4f nats/token, perplexity %.3f, %.4f bits per byte over "
      "%d tokens\n",
      evaluate.loss(), evaluate.perplexity(), evaluate.bits_per_byte(),
      evaluate.tokens());
  for (const v1::PositionBucket& bucket : evaluate.buckets()) {
    if (bucket.tokens() == 0) continue;
    absl::StrAppendFormat(&out, "            tokens %d to %d: %.4f\n",
                          bucket.begin(), bucket.end(), bucket.loss());
  }
  return out;
}

std::string GenerateResultText(const v1::GenerateResult& generate) {
  return absl::StrFormat("result      %d tokens after %d, finished by %s\n",
                         generate.usage().generated_tokens(),
                         generate.usage().prompt_tokens(),
                         generate.finish_reason());
}

std::string AttemptText(const v1::Attempt& attempt) {
  std::vector<std::string> places;
  for (const v1::Placement& place : attempt.placements()) {
    places.push_back(absl::StrCat(place.rank(), ":", ShortName(place.worker()),
                                  "/", place.slot()));
  }
  std::string out = absl::StrCat("attempt ", attempt.number(), "   ranks ",
                                 absl::StrJoin(places, " "));
  if (attempt.resumed_step() > 0) {
    absl::StrAppend(&out, ", resumed from step ", attempt.resumed_step());
  }
  if (!attempt.end_reason().empty()) {
    absl::StrAppend(&out, ", ended: ", attempt.end_reason());
  }
  return out + "\n";
}

}  // namespace

std::string StateName(v1::JobState state) {
  return absl::AsciiStrToLower(v1::JobState_Name(state));
}

v1::JobState StateOfName(const std::string& name) {
  v1::JobState state = v1::JOB_STATE_UNSPECIFIED;
  v1::JobState_Parse(absl::AsciiStrToUpper(name), &state);
  return state;
}

bool IsTerminal(v1::JobState state) {
  return state == v1::SUCCEEDED || state == v1::FAILED ||
         state == v1::CANCELLED;
}

std::string ShortName(const std::string& name) {
  return name.substr(name.rfind('/') + 1);
}

std::string KindOf(const v1::JobSpec& spec) {
  switch (spec.kind_case()) {
    case v1::JobSpec::kTrain:
      return "train";
    case v1::JobSpec::kEvaluate:
      return "evaluate";
    case v1::JobSpec::kGenerate:
      return "generate";
    case v1::JobSpec::KIND_NOT_SET:
      break;
  }
  return "-";
}

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) +
         absl::Nanoseconds(time.nanos());
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) +
         absl::Nanoseconds(duration.nanos());
}

std::string Ago(const google::protobuf::Timestamp& time, absl::Time now) {
  if (time.seconds() == 0 && time.nanos() == 0) return "-";
  absl::Duration since = std::max(absl::ZeroDuration(), now - FromProto(time));
  return FormatElapsed(since) + " ago";
}

std::string FormatResult(const v1::JobResult& result) {
  if (result.has_train()) return TrainResultText(result.train());
  if (result.has_evaluate()) return EvaluateResultText(result.evaluate());
  if (result.has_generate()) return GenerateResultText(result.generate());
  return "";
}

std::string FormatProgress(const v1::Progress& progress) {
  std::vector<std::string> parts;
  if (!progress.unit().empty()) {
    std::string total =
        progress.total() > 0 ? absl::StrCat("/", progress.total()) : "";
    parts.push_back(absl::StrCat(progress.done(), total, " ", progress.unit()));
  }
  if (progress.loss() > 0) {
    parts.push_back(absl::StrFormat("loss %.4f", progress.loss()));
  }
  if (progress.validation_loss() > 0) {
    parts.push_back(
        absl::StrFormat("validation %.4f", progress.validation_loss()));
  }
  Append(&parts, RateText(progress.tokens_per_second()));
  Append(&parts, MemoryText(progress.memory_peak_bytes(),
                            progress.memory_planned_bytes()));
  return absl::StrJoin(parts, "  ");
}

std::string FormatJob(const v1::Job& job, absl::Time now) {
  std::string out = absl::StrCat("name        ", job.name(), "\n");
  absl::StrAppend(&out, "title       ", job.spec().name(), "\n");
  absl::StrAppend(&out, "kind        ", KindOf(job.spec()), ", ",
                  job.spec().resources().ranks(), " ranks\n");
  absl::StrAppend(&out, "state       ", StateName(job.state()), "\n");
  if (!job.pending_reason().empty()) {
    absl::StrAppend(&out, "waits       ", job.pending_reason(), " (",
                    job.queue_position(), " ahead)\n");
  }
  absl::StrAppend(&out, "created     ", Ago(job.create_time(), now), "\n");
  absl::StrAppend(&out, "started     ", Ago(job.start_time(), now), "\n");
  absl::StrAppend(&out, "ended       ", Ago(job.end_time(), now), "\n");
  if (job.has_progress()) {
    absl::StrAppend(&out, "progress    ", FormatProgress(job.progress()), "\n");
  }
  if (!job.error().empty()) {
    absl::StrAppend(&out, "error       ", job.error(), "\n");
  }
  for (const v1::Attempt& attempt : job.attempts()) {
    absl::StrAppend(&out, AttemptText(attempt));
  }
  return out + FormatResult(job.result());
}

}  // namespace longspan::cli

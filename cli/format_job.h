// Jobs, states, times and progress as text. Pure.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "longspan/v1/job.pb.h"

namespace longspan::cli {

// "running"; the names that --state takes.
std::string StateName(v1::JobState state);

// kUnspecified for a name that is no state.
v1::JobState StateOfName(const std::string& name);

bool IsTerminal(v1::JobState state);

// The last component: "tenants/default/jobs/abc" -> "abc".
std::string ShortName(const std::string& name);

// "train", "evaluate", "generate".
std::string KindOf(const v1::JobSpec& spec);

absl::Time FromProto(const google::protobuf::Timestamp& time);
absl::Duration FromProto(const google::protobuf::Duration& duration);

// "14.2 s ago"; "-" for an unset time.
std::string Ago(const google::protobuf::Timestamp& time, absl::Time now);

// "loss 1.8123 nats/token, 1.23M tokens, 41.2k tokens/s, ..."; one line for
// each part of the result.
std::string FormatResult(const v1::JobResult& result);

// One line: "step 1234  loss 1.912  38.2k tokens/s  memory 25.3 MiB ...".
std::string FormatProgress(const v1::Progress& progress);

// `longspan get`: every fact about a job, one a line.
std::string FormatJob(const v1::Job& job, absl::Time now);

}  // namespace longspan::cli

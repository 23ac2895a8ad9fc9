#include "common/job_spec/parse_job_spec.h"

#include <algorithm>
#include <string>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/job_spec/bind_message.h"
#include "common/job_spec/defaults.h"
#include "common/job_spec/spec_node.h"
#include "common/job_spec/validate.h"
#include "longspan/v1/job.pb.h"

namespace longspan {
namespace {

bool IsJson(std::string_view content, std::string_view file_name) {
  std::string name(file_name);
  if (absl::EndsWith(name, ".json")) return true;
  if (absl::EndsWith(name, ".yaml") || absl::EndsWith(name, ".yml")) {
    return false;
  }
  size_t first = content.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && content[first] == '{';
}

// The path without its last component: "a.b[2]" -> "a.b" -> "a" -> "".
std::string Parent(const std::string& path) {
  size_t cut = path.find_last_of(".[");
  return cut == std::string::npos ? "" : path.substr(0, cut);
}

// A mistake beneath a reported one would only confuse. A train job without
// steps lacks nothing if its max_duration was only written wrongly.
bool IsExcused(const BindResult& bound, std::string path) {
  if (path == "train.steps" && bound.excused.count("train.max_duration") > 0) {
    return true;
  }
  while (!path.empty()) {
    if (bound.excused.count(path) > 0) return true;
    path = Parent(path);
  }
  return false;
}

// Sizes that are derived from hidden_size say nothing new while it is wrong.
bool IsDerived(const BindResult& bound, const v1::JobSpec& spec,
               const std::string& path) {
  const std::string width = "train.model.hidden_size";
  bool unknown =
      bound.excused.count(width) > 0 || spec.train().model().hidden_size() < 1;
  return unknown && path != width && bound.positions.count(path) == 0 &&
         (absl::StartsWith(path, "train.model.linear.") ||
          absl::StartsWith(path, "train.model.softmax.") ||
          absl::StartsWith(path, "train.model.mlp."));
}

// Of the path, or of the nearest field around it that the text has.
SpecPosition PositionOf(const BindResult& bound, std::string path) {
  while (!path.empty()) {
    auto found = bound.positions.find(path);
    if (found != bound.positions.end()) return found->second;
    path = Parent(path);
  }
  return {1, 1};
}

void SortByPosition(std::vector<SpecViolation>* violations) {
  std::stable_sort(violations->begin(), violations->end(),
                   [](const SpecViolation& a, const SpecViolation& b) {
                     return std::tie(a.line, a.column) <
                            std::tie(b.line, b.column);
                   });
}

}  // namespace

std::vector<SpecViolation> ParseJobSpec(std::string_view content,
                                        std::string_view file_name,
                                        v1::JobSpec* spec) {
  if (content.size() > static_cast<size_t>(kMaxSpecBytes)) {
    return {
        {"", absl::StrCat("the file has ", content.size(),
                          " bytes; a job file has at most ", kMaxSpecBytes)}};
  }
  SpecNode root;
  std::vector<SpecViolation> unreadable;
  bool read = IsJson(content, file_name)
                  ? ReadJson(content, &root, &unreadable)
                  : ReadYaml(content, &root, &unreadable);
  if (!read) return unreadable;
  BindResult bound = BindMessage(root, spec);
  ResolveDefaults(spec);
  std::vector<SpecViolation> violations = std::move(bound.violations);
  for (SpecViolation& violation : ValidateSpec(*spec)) {
    if (IsExcused(bound, violation.path) ||
        IsDerived(bound, *spec, violation.path)) {
      continue;
    }
    SpecPosition at = PositionOf(bound, violation.path);
    violation.line = at.line;
    violation.column = at.column;
    violations.push_back(std::move(violation));
  }
  SortByPosition(&violations);
  return violations;
}

}  // namespace longspan

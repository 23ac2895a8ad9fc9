#include "common/job_spec/validate.h"

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/edit_distance.h"
#include "common/base/units.h"
#include "common/job_spec/check_ranges.h"
#include "common/job_spec/check_uri.h"
#include "common/job_spec/layout_from_proto.h"
#include "common/job_spec/model_spec_from_proto.h"
#include "common/job_spec/sequence_parallel_from_proto.h"
#include "common/model_spec/layout_choice.h"
#include "common/model_spec/left_ring_plan.h"
#include "longspan/v1/job.pb.h"

namespace longspan {
namespace {

constexpr size_t kMaxNameLength = 63;

// Whether a pass may begin with the state that another has left.
bool CarriesState(SequenceParallel method) {
  return method != SequenceParallel::kMegatronSp &&
         method != SequenceParallel::kRingLeft;
}

bool RunsOnCuda(SequenceParallel method) {
  return !SharesHeads(method) && !RowsTravel(method) &&
         method != SequenceParallel::kRingLeft;
}

class Validator {
 public:
  std::vector<SpecViolation> Take() { return std::move(violations_); }

  void Check(const v1::JobSpec& spec) {
    CheckRanges(spec, "", &violations_);
    CheckName(spec.name());
    CheckResources(spec.resources());
    CheckEnvironment(spec);
    CheckPrecision(spec);
    CheckMethod(spec);
    CheckSoftmaxMethod(spec);
    switch (spec.kind_case()) {
      case v1::JobSpec::kTrain:
        return CheckTrain(spec.train(), spec.resources());
      case v1::JobSpec::kEvaluate:
        return CheckEvaluate(spec.evaluate(), spec.resources().ranks());
      case v1::JobSpec::kGenerate:
        return CheckGenerate(spec.generate());
      case v1::JobSpec::KIND_NOT_SET:
        return Report("kind",
                      "a job is one of train, evaluate, generate: write one");
    }
  }

 private:
  void Report(const std::string& path, const std::string& message) {
    violations_.push_back({path, message});
  }

  void Report(const std::string& path, const absl::Status& status) {
    if (!status.ok()) Report(path, std::string(status.message()));
  }

  void CheckName(const std::string& name) {
    bool plain = std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    });
    if (plain && name.size() <= kMaxNameLength) return;
    Report("name",
           absl::StrCat("'", name.substr(0, 80), "' must be at most ",
                        kMaxNameLength, " characters of a-z, 0-9 and '-'"));
  }

  void CheckResources(const v1::ResourceSpec& resources) {
    const std::string& backend = resources.backend();
    if (backend == "cpu" || backend == "cuda") return;
    auto closest = ClosestName(backend, {"cpu", "cuda"});
    Report("resources.backend",
           absl::StrCat(
               "'", backend, "' is not a backend",
               closest ? absl::StrCat("; did you mean '", *closest, "'?") : "",
               " (choices: cpu, cuda)"));
  }

  // A backend computes in some types only.
  void CheckPrecision(const v1::JobSpec& spec) {
    const std::string& backend = spec.resources().backend();
    const auto check = [&](const std::string& path, v1::Precision precision) {
      if (backend == "cuda" && precision == v1::F64) {
        Report(path, "f64 runs on the backend cpu; cuda has bf16 and f32");
      }
      if (backend != "cuda" && precision == v1::BF16) {
        Report(path, "bf16 runs on the backend cuda; cpu has f32 and f64");
      }
    };
    if (spec.has_train()) check("train.precision", spec.train().precision());
    if (spec.has_evaluate()) {
      check("evaluate.precision", spec.evaluate().precision());
    }
    if (spec.has_generate()) {
      check("generate.precision", spec.generate().precision());
    }
  }

  void CheckMethod(const v1::JobSpec& spec) {
    const std::string& backend = spec.resources().backend();
    CheckMethod("train", spec.train().sequence_parallel(), backend);
    CheckMethod("evaluate", spec.evaluate().sequence_parallel(), backend);
    CheckMethod("generate", spec.generate().sequence_parallel(), backend);
  }

  // A number on the wire need not be one of the schema's.
  void CheckMethod(const std::string& kind, v1::SequenceParallel method,
                   const std::string& backend) {
    const std::string path = kind + ".sequence_parallel";
    const auto known = SequenceParallelFromProto(method);
    if (!known.ok()) return Report(path, known.status());
    const std::string name(SequenceParallelName(*known));
    if (kind != "train" && !CarriesState(*known)) {
      Report(path, absl::StrCat(name, " serves train jobs; ", kind,
                                " carries a state from piece to piece: use "
                                "lasp2"));
    } else if (backend == "cuda" && !RunsOnCuda(*known)) {
      Report(path, absl::StrCat(name,
                                " runs on the backend cpu; on cuda no test has "
                                "seen it yet: use lasp2"));
    }
  }

  void CheckSoftmaxMethod(const v1::JobSpec& spec) {
    CheckSoftmaxMethod("train", spec.train().softmax_sequence_parallel(),
                       spec.resources().backend());
    CheckSoftmaxMethod("evaluate", spec.evaluate().softmax_sequence_parallel(),
                       spec.resources().backend());
    CheckSoftmaxMethod("generate", spec.generate().softmax_sequence_parallel(),
                       spec.resources().backend());
  }

  void CheckSoftmaxMethod(const std::string& kind,
                          v1::SoftmaxSequenceParallel::Method method,
                          const std::string& backend) {
    const std::string path = kind + ".softmax_sequence_parallel";
    const auto known = SoftmaxParallelFromProto(method);
    if (!known.ok()) return Report(path, known.status());
    if (*known == SoftmaxParallel::kGather) return;
    const std::string name(SoftmaxParallelName(*known));
    if (kind != "train") {
      Report(path, absl::StrCat(name, " serves train jobs; ", kind,
                                " carries the keys of the whole text from "
                                "piece to piece on every rank: use gather"));
    } else if (backend == "cuda") {
      const bool ring = *known == SoftmaxParallel::kRing;
      Report(path,
             absl::StrCat(name, " runs on the backend cpu; ",
                          ring ? "cuda has no kernel that merges attention"
                               : "on cuda no test has seen it yet",
                          ": use gather"));
    }
  }

  void CheckEnvironment(const v1::JobSpec& spec) {
    std::vector<std::string> names;
    for (const auto& [name, value] : spec.env()) names.push_back(name);
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      if (absl::StartsWith(name, "NCCL_") || absl::StartsWith(name, "GLOO_")) {
        continue;
      }
      Report("env." + name, "only NCCL_* and GLOO_* may be set");
    }
  }

  void CheckData(const std::string& path, const v1::DataSpec& data) {
    if (data.uri().empty()) {
      Report(path + ".uri",
             "is missing: the text to read, such as corpus://train.txt");
    } else {
      Report(path + ".uri", CheckRootUri(data.uri()));
    }
    if (data.end() != 0 && data.end() <= data.begin()) {
      Report(path + ".end",
             absl::StrCat("must be more than begin (", data.begin(),
                          ") or 0 for the end of the file, not ", data.end()));
    }
  }

  void CheckSource(const std::string& path, const v1::ModelSource& source) {
    switch (source.source_case()) {
      case v1::ModelSource::kUri:
        Report(path + ".uri", CheckRootUri(source.uri()));
        if (source.step() != 0) {
          Report(path + ".step", "goes with 'job'; a URI names its step");
        }
        return;
      case v1::ModelSource::kJob:
        return Report(path + ".job", CheckJobName(source.job()));
      case v1::ModelSource::SOURCE_NOT_SET:
        return Report(path, "is missing: write uri: or job:");
    }
  }

  void CheckModel(const std::string& path, const v1::ModelSpec& model,
                  const std::string& backend) {
    const ModelSpec spec = ModelSpecFromProto(model);
    std::vector<SpecMistake> mistakes = Validate(spec);
    if (mistakes.empty() && backend == "cuda") mistakes = MissingOnCuda(spec);
    for (const SpecMistake& mistake : mistakes) {
      Report(absl::StrCat(path, ".", mistake.path), mistake.message);
    }
  }

  void CheckPieces(const std::string& path, int64_t tokens, int ranks) {
    if (tokens < 1 || ranks < 1 || tokens >= ranks) return;
    Report(path, absl::StrCat("is ", tokens, " tokens, fewer than the ", ranks,
                              " ranks: every rank needs one"));
  }

  void CheckTrainLength(const v1::TrainSpec& train) {
    if (train.max_duration().seconds() < 0 ||
        train.max_duration().nanos() < 0) {
      Report("train.max_duration", "must not be negative");
    }
    bool timed =
        train.max_duration().seconds() > 0 || train.max_duration().nanos() > 0;
    if (train.steps() == 0 && !timed) {
      Report("train.steps",
             "is missing: write steps, max_duration (such as 60s) or both");
    }
    int64_t warmup = train.schedule().warmup_steps();
    if (train.steps() > 0 && warmup > train.steps()) {
      Report("train.schedule.warmup_steps",
             absl::StrCat("must be at most steps (", train.steps(), "), not ",
                          warmup));
    }
  }

  void CheckReplicas(const v1::TrainSpec& train,
                     const v1::ResourceSpec& resources) {
    const int replicas = train.data_parallel();
    if (replicas <= 1) return;
    const char* const path = "train.data_parallel";
    if (resources.ranks() % replicas != 0) {
      Report(path, absl::StrCat("is ", replicas, " and does not divide the ",
                                resources.ranks(), " ranks"));
    }
    if (train.batch_size() % replicas != 0) {
      Report(path,
             absl::StrCat("is ", replicas, " and does not divide batch_size (",
                          train.batch_size(), ")"));
    }
    if (resources.backend() == "cuda") {
      Report(path, absl::StrCat("is ", replicas,
                                "; the backend cuda has one replica only yet, "
                                "the backend cpu has more"));
    }
  }

  // An explicit zigzag runs or is refused; auto takes what runs.
  void CheckLayout(const v1::TrainSpec& train, const std::string& backend) {
    const char* const path = "train.layout";
    const auto layout = LayoutFromProto(train.layout());
    if (!layout.ok()) return Report(path, layout.status());
    if (*layout != TokenLayout::kZigzag) return;
    const auto method = SequenceParallelFromProto(train.sequence_parallel());
    const auto softmax =
        SoftmaxParallelFromProto(train.softmax_sequence_parallel());
    if (!method.ok() || !softmax.ok()) return;  // reported there
    Report(path, CheckZigzag(*method, *softmax, backend == "cuda"));
  }

  // A model with mistakes has them reported.
  void CheckRingLeft(const v1::TrainSpec& train) {
    const auto method = SequenceParallelFromProto(train.sequence_parallel());
    if (!method.ok() || *method != SequenceParallel::kRingLeft) return;
    const ModelSpec model = ModelSpecFromProto(train.model());
    if (!Validate(model).empty()) return;
    if (!HasLayer(model, LayerKind::kLinear)) return;
    Report("train.sequence_parallel",
           CheckLeftProduct(FormOf(model.linear),
                            LinearMixerName(model.linear.mixer)));
  }

  // States are gathered in the type of sums, or narrower.
  void CheckStatePrecision(const v1::TrainSpec& train) {
    const v1::Precision states = train.state_exchange_precision();
    const bool f64 = train.precision() == v1::F64;
    if (states == v1::PRECISION_UNSPECIFIED) return;
    if (f64 == (states == v1::F64)) return;
    Report("train.state_exchange_precision",
           f64 ? "states of a job of precision f64 travel in f64: leave it out"
               : "f64 goes with precision f64; states of other jobs travel in "
                 "f32 or bf16");
  }

  // bf16, and more than one call, are lasp2's.
  void CheckGather(const std::string& path, const std::string& what,
                   const v1::TrainSpec& train, const std::string& backend) {
    const auto method = SequenceParallelFromProto(train.sequence_parallel());
    if (!method.ok()) return;  // reported there
    if (*method != SequenceParallel::kLasp2) {
      Report(path, absl::StrCat(what, " is of lasp2, which gathers states; ",
                                std::string(SequenceParallelName(*method)),
                                " does not: use lasp2 or leave it out"));
    } else if (backend == "cuda") {
      Report(path, absl::StrCat(what,
                                " runs on the backend cpu; on cuda no test has "
                                "seen it yet: leave it out"));
    }
  }

  void CheckStateExchange(const v1::TrainSpec& train,
                          const std::string& backend) {
    CheckStatePrecision(train);
    if (train.state_exchange_precision() == v1::BF16) {
      CheckGather("train.state_exchange_precision", "bf16", train, backend);
    }
    if (train.state_exchange_splits() > 1) {
      CheckGather(
          "train.state_exchange_splits",
          absl::StrCat("a gather in ", train.state_exchange_splits(), " calls"),
          train, backend);
    }
  }

  void CheckTrain(const v1::TrainSpec& train,
                  const v1::ResourceSpec& resources) {
    CheckModel("train.model", train.model(), resources.backend());
    CheckData("train.data", train.data());
    if (train.has_validation()) {
      CheckData("train.validation", train.validation());
    } else if (train.validation_interval() > 0) {
      Report("train.validation_interval",
             "needs 'validation', the text to validate on");
    }
    CheckTrainLength(train);
    CheckReplicas(train, resources);
    CheckLayout(train, resources.backend());
    CheckStateExchange(train, resources.backend());
    CheckRingLeft(train);
    CheckPieces("train.sequence_length", train.sequence_length(),
                resources.ranks() / std::max(1, train.data_parallel()));
    const std::string& checkpoint = train.checkpoint().uri();
    if (!checkpoint.empty()) {
      Report("train.checkpoint.uri", CheckRootUri(checkpoint));
    }
    if (train.has_initial_model()) {
      CheckSource("train.initial_model", train.initial_model());
    }
  }

  void CheckEvaluate(const v1::EvaluateSpec& evaluate, int ranks) {
    CheckSource("evaluate.model", evaluate.model());
    CheckData("evaluate.data", evaluate.data());
    CheckPieces("evaluate.piece_length", evaluate.piece_length(), ranks);
    for (int i = 1; i < evaluate.position_buckets_size(); ++i) {
      if (evaluate.position_buckets(i) > evaluate.position_buckets(i - 1)) {
        continue;
      }
      Report(
          absl::StrCat("evaluate.position_buckets[", i, "]"),
          absl::StrCat("bounds must grow, and ", evaluate.position_buckets(i),
                       " follows ", evaluate.position_buckets(i - 1)));
    }
  }

  void CheckGenerate(const v1::GenerateSpec& generate) {
    CheckSource("generate.model", generate.model());
    switch (generate.prompt_case()) {
      case v1::GenerateSpec::kPromptData:
        CheckData("generate.prompt_data", generate.prompt_data());
        break;
      case v1::GenerateSpec::kText:
        if (generate.text().empty()) {
          Report("generate.text", "is empty: a prompt has at least one byte");
        }
        break;
      case v1::GenerateSpec::kTokenIds:
        CheckTokenIds(generate.token_ids());
        break;
      case v1::GenerateSpec::PROMPT_NOT_SET:
        Report("generate.prompt",
               "is missing: write text, token_ids or prompt_data");
    }
    for (int i = 0; i < generate.sampling().stop_size(); ++i) {
      if (!generate.sampling().stop(i).empty()) continue;
      Report(absl::StrCat("generate.sampling.stop[", i, "]"),
             "is empty and would stop at once: remove it");
    }
  }

  void CheckTokenIds(const v1::TokenIds& tokens) {
    if (tokens.ids().empty()) {
      Report("generate.token_ids.ids",
             "is empty: a prompt has at least one token");
    }
    for (int i = 0; i < tokens.ids_size(); ++i) {
      if (tokens.ids(i) >= 0 && tokens.ids(i) < 256) continue;
      Report(absl::StrCat("generate.token_ids.ids[", i, "]"),
             absl::StrCat(tokens.ids(i), " is no byte: tokens are 0 to 255"));
    }
  }

  std::vector<SpecViolation> violations_;
};

}  // namespace

std::vector<SpecViolation> ValidateSpec(const v1::JobSpec& spec) {
  Validator validator;
  validator.Check(spec);
  return validator.Take();
}

}  // namespace longspan

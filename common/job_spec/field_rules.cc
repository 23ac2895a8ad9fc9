#include "common/job_spec/field_rules.h"

#include <google/protobuf/descriptor.h>

#include <array>

namespace longspan {
namespace {

constexpr double kManyTokens = 1.0e12;
constexpr double kManyBytes = 1.0e15;
constexpr double kManySteps = 1.0e12;

constexpr FieldRule Range(std::string_view field, double min, double max) {
  return {field, FieldUnit::kNone, min, max};
}
constexpr FieldRule Tokens(std::string_view field, double min) {
  return {field, FieldUnit::kTokens, min, kManyTokens};
}
constexpr FieldRule Bytes(std::string_view field) {
  return {field, FieldUnit::kBytes, 0, kManyBytes};
}
constexpr FieldRule Open(std::string_view field, double min, bool min_exclusive,
                         double max, bool max_exclusive) {
  return {field, FieldUnit::kNone, min, max, min_exclusive, max_exclusive};
}

constexpr std::array kRules = {
    Range("longspan.v1.JobSpec.priority", -1000, 1000),
    Range("longspan.v1.JobSpec.max_failures", 1, 1000),
    Range("longspan.v1.ResourceSpec.ranks", 1, 4096),
    Range("longspan.v1.ResourceSpec.threads", 0, 1024),
    Bytes("longspan.v1.DataSpec.begin"),
    Bytes("longspan.v1.DataSpec.end"),
    Tokens("longspan.v1.TrainSpec.sequence_length", 1),
    Range("longspan.v1.TrainSpec.batch_size", 1, 1 << 20),
    Range("longspan.v1.TrainSpec.data_parallel", 1, 1 << 20),
    Range("longspan.v1.TrainSpec.steps", 0, kManySteps),
    Range("longspan.v1.TrainSpec.validation_interval", 0, kManySteps),
    Range("longspan.v1.TrainSpec.report_interval", 1, kManySteps),
    Range("longspan.v1.TrainSpec.state_exchange_splits", 1, 1024),
    Open("longspan.v1.OptimizerSpec.learning_rate", 0, true, 100, false),
    Open("longspan.v1.OptimizerSpec.beta1", 0, false, 1, true),
    Open("longspan.v1.OptimizerSpec.beta2", 0, false, 1, true),
    Open("longspan.v1.OptimizerSpec.epsilon", 0, true, 1, false),
    Range("longspan.v1.OptimizerSpec.weight_decay", 0, 100),
    Range("longspan.v1.OptimizerSpec.clip_norm", 0, 1e12),
    Range("longspan.v1.ScheduleSpec.warmup_steps", 0, kManySteps),
    Range("longspan.v1.ScheduleSpec.min_ratio", 0, 1),
    Open("longspan.v1.ScheduleSpec.decay_ratio", 0, true, 1, false),
    Range("longspan.v1.CheckpointSpec.interval", 0, kManySteps),
    Range("longspan.v1.CheckpointSpec.keep_last", 1, 1000),
    Range("longspan.v1.ModelSource.step", 0, kManySteps),
    Tokens("longspan.v1.EvaluateSpec.piece_length", 1),
    Tokens("longspan.v1.EvaluateSpec.position_buckets", 1),
    Range("longspan.v1.SamplingSpec.temperature", 0, 100),
    Range("longspan.v1.SamplingSpec.top_k", 0, 1 << 20),
    Open("longspan.v1.SamplingSpec.top_p", 0, true, 1, false),
    Tokens("longspan.v1.GenerateSpec.max_new_tokens", 1),
    Tokens("longspan.v1.GenerateSpec.piece_length", 1),
    Range("longspan.v1.TokenIds.ids", 0, (1u << 31) - 1.0),
    Tokens("longspan.v1.SoftmaxAttentionSpec.window", 0),
};

}  // namespace

const FieldRule* FindFieldRule(const google::protobuf::FieldDescriptor& field) {
  for (const FieldRule& rule : kRules) {
    if (rule.field == field.full_name()) return &rule;
  }
  return nullptr;
}

}  // namespace longspan

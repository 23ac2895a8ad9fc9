#include "common/job_spec/defaults.h"

#include <string>

#include "common/job_spec/model_spec_from_proto.h"
#include "longspan/v1/job.pb.h"

namespace longspan {
namespace {

template <typename Spec>
void ResolveRun(const std::string& backend, Spec* spec) {
  if (spec->precision() == v1::PRECISION_UNSPECIFIED) {
    spec->set_precision(backend == "cuda" ? v1::BF16 : v1::F32);
  }
  if (spec->sequence_parallel() == v1::SEQUENCE_PARALLEL_UNSPECIFIED) {
    spec->set_sequence_parallel(v1::LASP2);
  }
  if (spec->softmax_sequence_parallel() ==
      v1::SoftmaxSequenceParallel::METHOD_UNSPECIFIED) {
    spec->set_softmax_sequence_parallel(v1::SoftmaxSequenceParallel::GATHER);
  }
}

void ResolveModel(v1::ModelSpec* model) {
  ModelSpecToProto(ResolveDefaults(ModelSpecFromProto(*model)), model);
}

void ResolveOptimizer(v1::OptimizerSpec* optimizer) {
  if (!optimizer->has_beta1()) optimizer->set_beta1(0.9);
  if (!optimizer->has_beta2()) optimizer->set_beta2(0.95);
  if (!optimizer->has_epsilon()) optimizer->set_epsilon(1e-8);
  if (!optimizer->has_weight_decay()) optimizer->set_weight_decay(0.1);
  if (!optimizer->has_clip_norm()) optimizer->set_clip_norm(1.0);
}

void ResolveSchedule(v1::ScheduleSpec* schedule) {
  if (schedule->decay() == v1::ScheduleSpec::DECAY_UNSPECIFIED) {
    schedule->set_decay(v1::ScheduleSpec::COSINE);
  }
  if (!schedule->has_min_ratio()) schedule->set_min_ratio(0.1);
  if (!schedule->has_decay_ratio()) schedule->set_decay_ratio(0.2);
}

// Sums of bf16 are f32.
void ResolveStateExchange(v1::TrainSpec* train) {
  if (train->state_exchange_precision() == v1::PRECISION_UNSPECIFIED) {
    train->set_state_exchange_precision(
        train->precision() == v1::F64 ? v1::F64 : v1::F32);
  }
  if (train->state_exchange_splits() == 0) train->set_state_exchange_splits(1);
}

void ResolveTrain(const std::string& backend, v1::TrainSpec* train) {
  ResolveModel(train->mutable_model());
  if (train->batch_size() == 0) train->set_batch_size(1);
  if (train->data_parallel() == 0) train->set_data_parallel(1);
  if (train->layout() == v1::TokenLayout::LAYOUT_UNSPECIFIED) {
    train->set_layout(v1::TokenLayout::AUTO);
  }
  ResolveOptimizer(train->mutable_optimizer());
  ResolveSchedule(train->mutable_schedule());
  v1::CheckpointSpec* checkpoint = train->mutable_checkpoint();
  if (checkpoint->keep_last() == 0) checkpoint->set_keep_last(2);
  if (train->report_interval() == 0) train->set_report_interval(10);
  ResolveRun(backend, train);
  ResolveStateExchange(train);
}

void ResolveGenerate(const std::string& backend, v1::GenerateSpec* generate) {
  v1::SamplingSpec* sampling = generate->mutable_sampling();
  if (!sampling->has_temperature()) sampling->set_temperature(1.0);
  if (!sampling->has_top_p()) sampling->set_top_p(1.0);
  if (generate->piece_length() == 0) generate->set_piece_length(65536);
  ResolveRun(backend, generate);
}

void ResolveEvaluate(const std::string& backend, v1::EvaluateSpec* evaluate) {
  if (evaluate->piece_length() == 0) evaluate->set_piece_length(8192);
  ResolveRun(backend, evaluate);
}

}  // namespace

void ResolveDefaults(v1::JobSpec* spec) {
  if (!spec->has_max_failures()) spec->set_max_failures(3);
  v1::ResourceSpec* resources = spec->mutable_resources();
  if (resources->ranks() == 0) resources->set_ranks(1);
  if (resources->backend().empty()) resources->set_backend("cpu");
  switch (spec->kind_case()) {
    case v1::JobSpec::kTrain:
      return ResolveTrain(resources->backend(), spec->mutable_train());
    case v1::JobSpec::kEvaluate:
      return ResolveEvaluate(resources->backend(), spec->mutable_evaluate());
    case v1::JobSpec::kGenerate:
      return ResolveGenerate(resources->backend(), spec->mutable_generate());
    case v1::JobSpec::KIND_NOT_SET:
      return;
  }
}

}  // namespace longspan

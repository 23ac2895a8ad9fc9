// A model on one device, with made-up numbers, timed as a job would run it:
// whole training steps, and tokens generated one by one.
//
// Everything is the worker's own: its memory plan, its step, its decoder.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model_spec/memory_plan.h"
#include "common/model_spec/model_spec.h"
#include "kernels/api/backend.h"
#include "kernels/cost/backend_kind.h"
#include "worker/model/model.h"
#include "worker/model/parameters.h"

namespace longspan::bench {

// What the planner says a step of `tokens` takes on one device: activations in
// bf16 on CUDA, else f32.
int64_t PlannedTrainBytes(const ModelSpec& spec, kernels::BackendKind kind,
                          int64_t tokens);

class ModelBench {
 public:
  // `spec` resolved and valid.
  ModelBench(const ModelSpec& spec, kernels::BackendKind kind,
             std::unique_ptr<kernels::Backend> backend);
  ~ModelBench();

  // What the device has; 0: unknown.
  int64_t DeviceBytes() const;

  // Median milliseconds of `steps` steps on one sequence, after two that do
  // not count: the second is recorded as a graph where that is possible.
  absl::StatusOr<double> TrainStepMs(int64_t tokens, int steps);

  // Mean milliseconds of a token, over `count` tokens after `context` tokens.
  absl::StatusOr<double> TokenMs(int64_t context, int count);

 private:
  absl::Status MakeModel();

  const ModelSpec spec_;
  const kernels::BackendKind kind_;
  std::unique_ptr<kernels::Backend> backend_;
  std::unique_ptr<kernels::Stream> stream_;
  // Made once; training changes the values, which is all the same here.
  std::unique_ptr<worker::Parameters> parameters_;
  std::unique_ptr<worker::Model> model_;
};

}  // namespace longspan::bench

// What a rank of a test world computes with: a CPU backend, a stream of one
// thread, and small models.
#pragma once

#include <memory>
#include <string>

#include "common/model_spec/model_spec.h"
#include "kernels/api/backend.h"
#include "worker/parallel/rank_context.h"

namespace longspan::testing {

class TestRank {
 public:
  // `group` may be null.
  explicit TestRank(worker::ProcessGroup* group,
                    kernels::DType dtype = kernels::DType::kF64);

  // Without an arena.
  const worker::RankContext& context() const { return context_; }

 private:
  std::unique_ptr<kernels::Backend> backend_;
  std::unique_ptr<kernels::Stream> stream_;
  worker::RankContext context_;
};

// Two heads of 8, hidden 16, resolved. `pattern` gives the number of layers.
ModelSpec TinyModel(const std::string& pattern, LinearMixer mixer);

// `length` bytes of words, without a short period.
std::string TinyText(int64_t length);

}  // namespace longspan::testing

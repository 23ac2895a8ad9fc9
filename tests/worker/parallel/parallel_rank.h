// A rank with a backend, for the exchanges alone.
#pragma once

#include <memory>

#include "common/base/check.h"
#include "kernels/select/backend_registry.h"
#include "worker/parallel/rank_context.h"

namespace longspan::testing {

class ParallelRank {
 public:
  explicit ParallelRank(worker::ProcessGroup* group,
                        SequenceParallel method = SequenceParallel::kLasp2,
                        kernels::DType dtype = kernels::DType::kF64,
                        const GatherSettings& gather = {}) {
    auto backend = kernels::CreateBackend(kernels::BackendKind::kReference);
    LONGSPAN_CHECK_OK(backend);
    backend_ = *std::move(backend);
    auto stream = backend_->CreateStream(1);
    LONGSPAN_CHECK_OK(stream);
    stream_ = *std::move(stream);
    context_.backend = backend_.get();
    context_.stream = stream_.get();
    context_.group = group;
    context_.method = method;
    context_.state_gather = gather;
    context_.dtype = dtype;
    context_.backend_kind = kernels::BackendKind::kReference;
  }

  const worker::RankContext& context() const { return context_; }

 private:
  std::unique_ptr<kernels::Backend> backend_;
  std::unique_ptr<kernels::Stream> stream_;
  worker::RankContext context_;
};

}  // namespace longspan::testing

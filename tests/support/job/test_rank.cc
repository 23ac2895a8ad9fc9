#include "tests/support/job/test_rank.h"

#include "common/base/check.h"
#include "common/base/random.h"
#include "kernels/select/backend_registry.h"

namespace longspan::testing {

TestRank::TestRank(worker::ProcessGroup* group, kernels::DType dtype) {
  auto backend = kernels::CreateBackend(kernels::BackendKind::kCpu);
  LONGSPAN_CHECK_OK(backend);
  backend_ = *std::move(backend);
  auto stream = backend_->CreateStream(1);
  LONGSPAN_CHECK_OK(stream);
  stream_ = *std::move(stream);
  context_ = {.backend = backend_.get(),
              .stream = stream_.get(),
              .group = group,
              .dtype = dtype,
              .backend_kind = kernels::BackendKind::kCpu,
              .threads = 1};
}

ModelSpec TinyModel(const std::string& pattern, LinearMixer mixer) {
  ModelSpec spec;
  spec.hidden_size = 16;
  spec.layer_count = static_cast<int64_t>(pattern.size());
  spec.layer_pattern = pattern;
  spec.linear.mixer = mixer;
  spec.linear.heads = 2;
  spec.softmax.heads = 2;
  spec.softmax.key_heads = 1;
  spec.initializer_scale = 0.2;
  return ResolveDefaults(spec);
}

std::string TinyText(int64_t length) {
  static constexpr const char* kWords[] = {"the ", "cat ", "sat ",
                                           "on ",  "a ",   "mat. "};
  std::string text;
  for (uint64_t i = 0; static_cast<int64_t>(text.size()) < length; ++i) {
    text += kWords[RandomBelow({.seed = 1}, i, std::size(kWords))];
  }
  text.resize(length);
  return text;
}

}  // namespace longspan::testing

// Operands of one case, and the calls on them that are timed.
#pragma once

#include <memory>

#include "bench/attention/cases.h"

namespace longspan::bench {

class TimedCase {
 public:
  virtual ~TimedCase() = default;
  virtual void Forward() = 0;
  // After a forward pass. Its buffers are allocated by the first call.
  virtual void Backward() = 0;
};

// Ours on one thread, f32 but for kBf16; linear_case.cc and softmax_case.cc.
std::unique_ptr<TimedCase> TimedLinearCase(const AttentionCase& c);
std::unique_ptr<TimedCase> TimedSoftmaxCase(const AttentionCase& c);

}  // namespace longspan::bench

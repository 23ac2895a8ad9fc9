// Jobs whose timeouts passed go on, the queue is served, and what a journal
// that could not be written left undone is tried again.
#pragma once

#include "coordinator/background/duty.h"

namespace longspan::coordinator {

class Core;

class JobAdvance final : public Duty {
 public:
  // `core` outlives the duty.
  explicit JobAdvance(Core& core) : core_(core) {}

  const char* name() const override;
  absl::Duration period() const override;
  void Run() override;

 private:
  Core& core_;
};

}  // namespace longspan::coordinator

// Deletes finished jobs beyond the limits, oldest first, and forgets journal
// rows that no watcher can ask for.
#pragma once

#include "coordinator/background/duty.h"

namespace longspan::coordinator {

class Core;

class Retention final : public Duty {
 public:
  // `core` outlives the duty.
  explicit Retention(Core& core) : core_(core) {}

  const char* name() const override;
  absl::Duration period() const override;
  void Run() override;

 private:
  Core& core_;
};

}  // namespace longspan::coordinator

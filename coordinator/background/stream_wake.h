// Wakes every stream, so that bookmarks go out when they are due.
#pragma once

#include "coordinator/background/duty.h"

namespace longspan::coordinator {

class Core;

class StreamWake final : public Duty {
 public:
  // `core` outlives the duty.
  explicit StreamWake(Core& core) : core_(core) {}

  const char* name() const override;
  absl::Duration period() const override;
  void Run() override;

 private:
  Core& core_;
};

}  // namespace longspan::coordinator

// Workers whose lease ended are lost, and with them their ranks.
#pragma once

#include "coordinator/background/duty.h"

namespace longspan::coordinator {

class Core;

class LeaseExpiry final : public Duty {
 public:
  // `core` outlives the duty.
  explicit LeaseExpiry(Core& core) : core_(core) {}

  const char* name() const override;
  absl::Duration period() const override;
  void Run() override;

 private:
  Core& core_;
};

}  // namespace longspan::coordinator

// A duty that time brings: one class each, its period injected, its clock the
// core's. Tests call Run() themselves, with a fake clock.
#pragma once

#include "absl/time/time.h"

namespace longspan::coordinator {

class Duty {
 public:
  virtual ~Duty() = default;

  virtual const char* name() const = 0;
  virtual absl::Duration period() const = 0;
  // Takes core.mu itself.
  virtual void Run() = 0;
};

}  // namespace longspan::coordinator

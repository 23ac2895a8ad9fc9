#include "coordinator/background/stream_wake.h"

#include "coordinator/ops/core.h"

namespace longspan::coordinator {
const char* StreamWake::name() const { return "stream wake"; }

absl::Duration StreamWake::period() const {
  return core_.options.bookmark_interval / 3;
}

void StreamWake::Run() { core_.notifier.Notify(""); }

}  // namespace longspan::coordinator

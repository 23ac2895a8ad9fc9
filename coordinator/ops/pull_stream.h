// A stream that is pulled by whoever sends it: the RPC layer, or a test.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace longspan::coordinator {

enum class PullState {
  kItem,  // `item` is the next message
  kWait,  // nothing now; pull again after a wake-up
  kEnd    // `end` is how it ended; pull no more
};

template <typename T>
class PullStream {
 public:
  virtual ~PullStream() = default;

  // One caller at a time; takes the core's mutex.
  virtual PullState Next(T* item, absl::Status* end) = 0;

  // The receiver went away before the end.
  virtual void Cancelled() {}

  // What to subscribe to in the Notifier.
  virtual std::string Topic() const = 0;
};

}  // namespace longspan::coordinator

// The way to one worker daemon: its open stream, or a fake in tests.
#pragma once

#include "absl/status/status.h"

namespace longspan::v1 {
class CoordinatorMessage;
}  // namespace longspan::v1

namespace longspan::coordinator {

class WorkerLink {
 public:
  virtual ~WorkerLink() = default;

  // Queues the message and returns at once. Order is kept. A link whose queue
  // is full closes itself: the worker reconnects and is told again what counts.
  // Called with the core's mutex held.
  virtual void Send(const v1::CoordinatorMessage& message) = 0;

  // Ends the stream after what is queued.
  virtual void Close(const absl::Status& reason) = 0;
};

}  // namespace longspan::coordinator

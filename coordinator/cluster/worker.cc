#include "coordinator/cluster/worker.h"

namespace longspan::coordinator {

const char* WorkerStateName(WorkerState state) {
  switch (state) {
    case WorkerState::kReady:
      return "READY";
    case WorkerState::kLost:
      return "LOST";
    case WorkerState::kDraining:
      return "DRAINING";
  }
  return "UNKNOWN";
}

}  // namespace longspan::coordinator

// What `watch` prints: JSON lines for programs, a progress bar for people.
#pragma once

#include <memory>

#include "longspan/v1/job_service.pb.h"

namespace longspan::cli {

class EventView {
 public:
  virtual ~EventView() = default;
  virtual void OnEvent(const v1::JobEvent& event) = 0;
  // The coordinator went away; the watch goes on when it is back.
  virtual void OnDisconnected(const std::string& reason) = 0;
};

// One line of JSON per event on stdout.
std::unique_ptr<EventView> NewJsonView();

// A line that is rewritten on stderr, changes of state above it, the result at
// the end on stdout. Needs a terminal on stderr for the rewriting; without one
// it prints a line per change of state.
std::unique_ptr<EventView> NewTerminalView();

// The terminal view if stdout is a terminal and `json` is false.
std::unique_ptr<EventView> NewViewForStdout(bool json);

}  // namespace longspan::cli

#include "cli/event_view.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <iostream>
#include <string>

#include "cli/format_job.h"
#include "cli/print_json.h"
#include "cli/progress_bar.h"

namespace longspan::cli {
namespace {

class JsonView final : public EventView {
 public:
  void OnEvent(const v1::JobEvent& event) override {
    std::cout << ToJsonLine(event) << std::endl;  // flushed: read by programs
  }
  void OnDisconnected(const std::string& reason) override {
    std::cerr << "longspan: reconnecting: " << reason << std::endl;
  }
};

int TerminalWidth() {
  winsize size = {};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) {
    return size.ws_col - 1;
  }
  return 100;
}

class TerminalView final : public EventView {
 public:
  TerminalView() : rewrites_(isatty(STDERR_FILENO) == 1) {}
  ~TerminalView() override { ClearLine(); }

  void OnEvent(const v1::JobEvent& event) override {
    if (event.has_state_changed()) OnState(event.state_changed());
    if (event.has_progress()) progress_ = event.progress();
    if (event.has_deleted()) Print("the job was deleted");
    if (event.has_state_changed() || event.has_progress()) DrawLine();
  }

  void OnDisconnected(const std::string& reason) override {
    Print("reconnecting: " + reason);
  }

 private:
  void OnState(const v1::Job& job) {
    if (job.has_progress()) progress_ = job.progress();
    if (job.state() != state_) {
      state_ = job.state();
      Print(ShortName(job.name()) + " " + StateName(state_) +
            (job.pending_reason().empty() ? "" : ": " + job.pending_reason()) +
            (job.error().empty() ? "" : ": " + job.error()));
    }
    if (!IsTerminal(state_)) return;
    ClearLine();
    std::cout << FormatResult(job.result()) << std::flush;
  }

  void Print(const std::string& line) {
    ClearLine();
    std::cerr << line << std::endl;
  }

  void ClearLine() {
    if (drawn_) std::cerr << "\r\033[K" << std::flush;
    drawn_ = false;
  }

  void DrawLine() {
    if (!rewrites_ || IsTerminal(state_)) return;
    std::cerr << "\r\033[K" << ProgressBar(state_, progress_, TerminalWidth())
              << std::flush;
    drawn_ = true;
  }

  const bool rewrites_;
  bool drawn_ = false;
  v1::JobState state_ = v1::JOB_STATE_UNSPECIFIED;
  v1::Progress progress_;
};

}  // namespace

std::unique_ptr<EventView> NewJsonView() {
  return std::make_unique<JsonView>();
}

std::unique_ptr<EventView> NewTerminalView() {
  return std::make_unique<TerminalView>();
}

std::unique_ptr<EventView> NewViewForStdout(bool json) {
  if (json || isatty(STDOUT_FILENO) != 1) return NewJsonView();
  return NewTerminalView();
}

}  // namespace longspan::cli

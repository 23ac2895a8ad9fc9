#include "bench/sequence_parallel/turn_clock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "common/base/check.h"

namespace longspan::bench {
namespace {

absl::Duration ProcessorTime() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return absl::DurationFromTimespec(now);
}

}  // namespace

TurnClock::TurnClock(const std::string& turn_file)
    : file_(open(turn_file.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)) {
  LONGSPAN_CHECK(file_ >= 0) << turn_file;
}

TurnClock::~TurnClock() { close(file_); }

absl::Duration TurnClock::Stop() {
  const absl::Duration time = time_ + (ProcessorTime() - processor_);
  flock(file_, LOCK_UN);
  return time;
}

absl::Duration TurnClock::GoOn(absl::Duration time) {
  while (flock(file_, LOCK_EX) != 0) {
  }  // a signal
  time_ = time;
  processor_ = ProcessorTime();
  return time;
}

}  // namespace longspan::bench

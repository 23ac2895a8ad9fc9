#include "coordinator/background/duty_runner.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <stdexcept>

#include "common/base/clock.h"

namespace longspan::coordinator {
namespace {

class CountingDuty final : public Duty {
 public:
  CountingDuty(absl::Duration period, std::atomic<int>& runs, bool throws)
      : period_(period), runs_(runs), throws_(throws) {}

  const char* name() const override { return "counting"; }
  absl::Duration period() const override { return period_; }
  void Run() override {
    ++runs_;
    if (throws_) throw std::runtime_error("a mistake");
  }

 private:
  const absl::Duration period_;
  std::atomic<int>& runs_;
  const bool throws_;
};

TEST(DutyRunnerTest, RunsDutiesAgainAndAgainDespiteExceptions) {
  std::atomic<int> often = 0, never = 0;
  std::vector<std::unique_ptr<Duty>> duties;
  duties.push_back(std::make_unique<CountingDuty>(absl::Milliseconds(1), often,
                                                  /*throws=*/true));
  duties.push_back(
      std::make_unique<CountingDuty>(absl::Hours(1), never, false));
  {
    DutyRunner runner(SystemClock::Get(), std::move(duties));
    while (often < 3) std::this_thread::yield();
  }
  const int after = often;
  EXPECT_GE(after, 3);
  EXPECT_EQ(never, 0);
}

}  // namespace
}  // namespace longspan::coordinator

#include "tests/support/cuda_emulator/emulator_state.h"

#include <cstdlib>
#include <utility>

namespace longspan::kernels::cuda::emulated {

std::string_view FileName(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

EmulatorState& EmulatorState::Get() {
  static EmulatorState* const state = new EmulatorState;
  return *state;
}

EmulatorState::EmulatorState() {
  const char* seed = std::getenv("LONGSPAN_EMULATOR_SEED");
  if (seed != nullptr) {
    options_.seed = std::strtoull(seed, nullptr, 10);
  }
}

EmulatorOptions EmulatorState::options() const {
  MutexLock lock(mu_);
  return options_;
}

void EmulatorState::set_options(const EmulatorOptions& options) {
  MutexLock lock(mu_);
  options_ = options;
  ++generation_;
}

uint64_t EmulatorState::generation() const {
  MutexLock lock(mu_);
  return generation_;
}

LaunchHooks& EmulatorState::hooks() const {
  static LaunchHooks* const none = new LaunchHooks;
  MutexLock lock(mu_);
  return hooks_ == nullptr ? *none : *hooks_;
}

void EmulatorState::set_hooks(LaunchHooks* hooks) {
  MutexLock lock(mu_);
  hooks_ = hooks;
}

void EmulatorState::AddStatistics(const std::string& kernel,
                                  const LaunchStatistics& added) {
  MutexLock lock(mu_);
  statistics_[kernel].Add(added);
}

void EmulatorState::AddSites(const std::set<PrimitiveSite>& sites) {
  MutexLock lock(mu_);
  sites_.insert(sites.begin(), sites.end());
}

void EmulatorState::AddFailure(const std::string& failure) {
  MutexLock lock(mu_);
  failures_ += failure;
}

std::map<std::string, LaunchStatistics> EmulatorState::TakeStatistics() {
  MutexLock lock(mu_);
  return std::exchange(statistics_, {});
}

std::set<PrimitiveSite> EmulatorState::TakeSites() {
  MutexLock lock(mu_);
  return std::exchange(sites_, {});
}

std::string EmulatorState::TakeFailures() {
  MutexLock lock(mu_);
  return std::exchange(failures_, {});
}

}  // namespace longspan::kernels::cuda::emulated

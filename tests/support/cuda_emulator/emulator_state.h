#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "common/base/mutex.h"
#include "tests/support/cuda_emulator/emulator.h"

// What launches leave behind for the functions of emulator.h.

namespace longspan::kernels::cuda::emulated {

// The last part of a path.
std::string_view FileName(std::string_view path);

class EmulatorState {
 public:
  static EmulatorState& Get();

  EmulatorOptions options() const EXCLUDES(mu_);
  // How often options have been set.
  uint64_t generation() const EXCLUDES(mu_);
  void set_options(const EmulatorOptions& options) EXCLUDES(mu_);
  LaunchHooks& hooks() const EXCLUDES(mu_);
  void set_hooks(LaunchHooks* hooks) EXCLUDES(mu_);

  void AddStatistics(const std::string& kernel, const LaunchStatistics& added)
      EXCLUDES(mu_);
  void AddSites(const std::set<PrimitiveSite>& sites) EXCLUDES(mu_);
  void AddFailure(const std::string& failure) EXCLUDES(mu_);

  std::map<std::string, LaunchStatistics> TakeStatistics() EXCLUDES(mu_);
  std::set<PrimitiveSite> TakeSites() EXCLUDES(mu_);
  std::string TakeFailures() EXCLUDES(mu_);

 private:
  EmulatorState();

  mutable Mutex mu_;
  // Guarded by mu_.
  EmulatorOptions options_ GUARDED_BY(mu_);
  uint64_t generation_ GUARDED_BY(mu_) = 0;
  LaunchHooks* hooks_ GUARDED_BY(mu_) = nullptr;
  std::map<std::string, LaunchStatistics> statistics_ GUARDED_BY(mu_);
  std::set<PrimitiveSite> sites_ GUARDED_BY(mu_);
  std::string failures_ GUARDED_BY(mu_);
};

}  // namespace longspan::kernels::cuda::emulated

#include "tests/support/cuda_emulator/emulator.h"

#include <cxxabi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "kernels/cuda/device/emulated/kernel_launch.h"
#include "kernels/cuda/device/launch.h"
#include "tests/support/cuda_emulator/block_scheduler.h"
#include "tests/support/cuda_emulator/emulator_state.h"

namespace longspan::kernels::cuda::emulated {
namespace {

// "longspan::kernels::cuda::(anonymous namespace)::OutputsParams" without the
// namespaces.
std::string TypeName(const std::type_info& type) {
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, nullptr), &std::free);
  std::string text = name == nullptr ? type.name() : name.get();
  const size_t arguments = text.find('<');
  const size_t colon = text.rfind("::", arguments);
  return colon == std::string::npos ? text : text.substr(colon + 2);
}

std::string KernelName(const KernelLaunch& launch) {
  return TypeName(*launch.params) + " in " + launch.launched_by;
}

// The seed of this thread's next launch: the orders of a test follow from the
// seed it sets, whatever ran before.
uint64_t LaunchSeed(uint64_t seed) {
  static thread_local uint64_t generation = 0;
  static thread_local uint64_t ordinal = 0;
  const uint64_t now = EmulatorState::Get().generation();
  ordinal = now == generation ? ordinal + 1 : 0;
  generation = now;
  return RandomOrder::Mix(seed) + ordinal;
}

// The block that a planted fault leaves out, or -1.
int64_t LeftOut(const Fault& fault, const KernelLaunch& launch,
                const std::string& name) {
  const bool faulty = fault.kind == FaultKind::kLastBlock &&
                      fault.file == name && fault.line == launch.site.line;
  return faulty ? launch.blocks - 1 : -1;
}

// A launch of this thread of the operating system.
int RunLaunch(const KernelLaunch& launch) {
  static thread_local BlockScheduler scheduler;
  EmulatorState& state = EmulatorState::Get();
  const EmulatorOptions options = state.options();
  LaunchHooks& hooks = state.hooks();
  const std::string name = KernelName(launch);
  hooks.BeginLaunch();
  const std::string failure =
      scheduler.Run({launch.blocks, launch.threads, launch.shared_bytes,
                     LeftOut(options.fault, launch, name), &launch.thread_body},
                    options, LaunchSeed(options.seed));
  hooks.EndLaunch();
  state.AddStatistics(name, scheduler.statistics());
  state.AddSites(scheduler.sites());
  if (options.record_sites) {
    state.AddSites({{Primitive::kLaunch, name, launch.site.line}});
  }
  if (failure.empty()) {
    return 0;
  }
  const std::string sentence =
      name + " (" + std::string(FileName(launch.site.file)) + ":" +
      std::to_string(launch.site.line) + ", seed " +
      std::to_string(options.seed) + "): " + failure + "\n";
  state.AddFailure(sentence);
  if (options.print_failures) {
    std::fputs(sentence.c_str(), stderr);
  }
  return kLaunchFailure;
}

}  // namespace

int SubmitLaunch(void* native_stream, KernelLaunch launch) {
  const int limit = EmulatorState::Get().options().shared_bytes;
  if (launch.shared_bytes > std::min(limit, SharedArena::kMaxBytes)) {
    return kLaunchInvalidValue;
  }
  const auto shared = std::make_shared<KernelLaunch>(std::move(launch));
  return EmulatorState::Get().hooks().Submit(
      native_stream, [shared] { return RunLaunch(*shared); });
}

int LaunchHooks::Submit(void* native_stream, std::function<int()> run) {
  static_cast<void>(native_stream);
  return run();
}

void SetLaunchHooks(LaunchHooks* hooks) {
  EmulatorState::Get().set_hooks(hooks);
}

std::string TakeLaunchFailures() { return EmulatorState::Get().TakeFailures(); }

std::map<std::string, LaunchStatistics> TakeStatistics() {
  return EmulatorState::Get().TakeStatistics();
}

std::vector<PrimitiveSite> TakeSites() {
  const std::set<PrimitiveSite> sites = EmulatorState::Get().TakeSites();
  return {sites.begin(), sites.end()};
}

EmulatorOptions CurrentOptions() { return EmulatorState::Get().options(); }

EmulatorOptions InOrder(uint64_t n) {
  EmulatorOptions options = CurrentOptions();
  options.seed += n;
  return options;
}

ScopedEmulatorOptions::ScopedEmulatorOptions(const EmulatorOptions& options)
    : before_(CurrentOptions()) {
  EmulatorState::Get().set_options(options);
}

ScopedEmulatorOptions::~ScopedEmulatorOptions() {
  EmulatorState::Get().set_options(before_);
}

}  // namespace longspan::kernels::cuda::emulated

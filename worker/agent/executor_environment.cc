#include "worker/agent/executor_environment.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"

namespace longspan::worker {
namespace {

using Settings = std::map<std::string, std::string>;

void Set(const std::string& setting, Settings* settings) {
  const size_t equals = setting.find('=');
  if (equals == std::string::npos) return;
  (*settings)[setting.substr(0, equals)] = setting.substr(equals + 1);
}

bool IsOfTransport(const std::string& name) {
  return name.rfind("NCCL_", 0) == 0 || name.rfind("GLOO_", 0) == 0;
}

bool IsShared(const v1::WorkerInfo& info, const v1::Device& device) {
  return std::any_of(info.devices().begin(), info.devices().end(),
                     [&](const v1::Device& other) {
                       return other.slot() != device.slot() &&
                              other.uuid() == device.uuid();
                     });
}

}  // namespace

std::vector<std::string> SlotEnvironment(const v1::WorkerInfo& info, int slot) {
  const v1::Device& own = info.devices(slot);
  if (own.kind() != "cuda") return {};
  std::vector<std::string> environment = {
      absl::StrCat("CUDA_VISIBLE_DEVICES=", own.uuid())};
  if (!IsShared(info, own)) return environment;
  environment.push_back(absl::StrCat("NCCL_HOSTID=longspan-", info.hostname(),
                                     "-", own.uuid(), "-", slot));
  environment.push_back("NCCL_P2P_DISABLE=1");
  environment.push_back("NCCL_SHM_DISABLE=1");
  environment.push_back("NCCL_NET=Socket");
  return environment;
}

std::vector<std::string> ExecutorEnvironment(
    const std::vector<std::string>& daemon, const v1::JobSpec& spec,
    const v1::WorkerInfo& info, int slot) {
  Settings settings;
  for (const std::string& setting : daemon) Set(setting, &settings);
  for (const auto& [name, value] : spec.env()) {
    if (IsOfTransport(name)) settings[name] = value;
  }
  for (const std::string& setting : SlotEnvironment(info, slot)) {
    Set(setting, &settings);
  }
  std::vector<std::string> environment;
  for (const auto& [name, value] : settings) {
    environment.push_back(absl::StrCat(name, "=", value));
  }
  return environment;
}

}  // namespace longspan::worker

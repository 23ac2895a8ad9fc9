#include "tests/support/cuda_emulator/fault_sweep.h"

namespace longspan::kernels::cuda::emulated {
namespace {

std::vector<FaultKind> FaultsOf(Primitive primitive) {
  switch (primitive) {
    case Primitive::kSyncBlock:
    case Primitive::kSyncNamed:
    case Primitive::kSyncWarp:
      return {FaultKind::kDrop};
    case Primitive::kCopyAsync:
      return {FaultKind::kDrop};
    case Primitive::kCopyAsyncTail:
      return {FaultKind::kFullCopy};
    case Primitive::kCopyAsyncWait:
      return {FaultKind::kDrop, FaultKind::kLateWait};
    case Primitive::kLoadMatrix2:
    case Primitive::kLoadMatrix4:
    case Primitive::kLoadMatrix2Transposed:
    case Primitive::kLoadMatrix4Transposed:
      return {FaultKind::kSkew};
    case Primitive::kLaunch:
      return {FaultKind::kLastBlock};
    default:
      return {};
  }
}

std::string_view NameOf(FaultKind kind) {
  switch (kind) {
    case FaultKind::kDrop:
      return "dropped";
    case FaultKind::kLateWait:
      return "waits for one group too few";
    case FaultKind::kSkew:
      return "skewed by 16 bytes";
    case FaultKind::kFullCopy:
      return "copies beyond its bytes";
    case FaultKind::kLastBlock:
      return "without its last block";
    case FaultKind::kNone:
      break;
  }
  return "sound";
}

std::vector<PrimitiveSite> SitesOf(const Case& passes) {
  EmulatorOptions options = CurrentOptions();
  options.record_sites = true;
  const ScopedEmulatorOptions scope(options);
  TakeSites();
  static_cast<void>(passes());
  return TakeSites();
}

bool Fails(const Case& passes, uint64_t seed, const Fault& fault) {
  EmulatorOptions options = CurrentOptions();
  options.seed = seed;
  options.fault = fault;
  if (fault.kind != FaultKind::kNone) {
    options.trap_copies_under_way = false;
    options.print_failures = false;
  }
  const ScopedEmulatorOptions scope(options);
  TakeLaunchFailures();
  const bool passed = passes();
  return !passed || !TakeLaunchFailures().empty();
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const PlantedFault& fault) {
  return out << NameOf(fault.site.primitive) << " " << NameOf(fault.kind)
             << " (" << fault.site.file << ":" << fault.site.line << ")";
}

int FailingOrders(const Case& passes, int orders) {
  int failing = 0;
  for (int seed = 0; seed < orders; ++seed) {
    failing += Fails(passes, static_cast<uint64_t>(seed), {}) ? 1 : 0;
  }
  return failing;
}

std::vector<PlantedFault> SweepFaults(
    const Case& passes, int orders,
    const std::function<bool(const PrimitiveSite&)>& wanted) {
  std::vector<PlantedFault> planted;
  for (const PrimitiveSite& site : SitesOf(passes)) {
    if (wanted && !wanted(site)) continue;
    for (const FaultKind kind : FaultsOf(site.primitive)) {
      PlantedFault fault{site, kind, 0};
      for (int seed = 0; seed < orders && fault.caught == 0; ++seed) {
        fault.caught += Fails(passes, static_cast<uint64_t>(seed),
                              {kind, site.file, site.line});
      }
      planted.push_back(fault);
    }
  }
  return planted;
}

}  // namespace longspan::kernels::cuda::emulated

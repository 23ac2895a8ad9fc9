#pragma once

#include <cstdint>
#include <functional>
#include <ostream>
#include <vector>

#include "tests/support/cuda_emulator/emulator.h"

// Breaks every line of real kernels in turn and asks whether a test notices:
// a barrier, wait or copy dropped, a wait for one group too few, the tail of a
// copy ignored, a matrix load beside the right row, a grid one block short.

namespace longspan::kernels::cuda::emulated {

struct PlantedFault {
  PrimitiveSite site;
  FaultKind kind = FaultKind::kNone;
  // In so many of the orders `passes` said no, or a launch failed.
  int caught = 0;
};
std::ostream& operator<<(std::ostream& out, const PlantedFault& fault);

// Runs the case under test and compares: true when all is well. The sweep
// runs it in many orders, with and without a fault.
using Case = std::function<bool()>;

// In how many of `orders` orders the sound kernels fail. Expect 0.
int FailingOrders(const Case& passes, int orders);

// One entry for each fault that the lines of the case's kernels can have; at
// most `orders` orders are run for each, until the first that catches it. A
// caught of 0 is a fault that the case does not notice. A plain access out of
// bounds that a fault leads to ends the process where ASan is built in.
// Only lines that are `wanted`, if given, are broken.
std::vector<PlantedFault> SweepFaults(
    const Case& passes, int orders,
    const std::function<bool(const PrimitiveSite&)>& wanted = {});

}  // namespace longspan::kernels::cuda::emulated

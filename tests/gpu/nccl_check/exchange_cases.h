// Every collective that a process group offers, as exchanges whose results are
// compared bit for bit.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tests/gpu/nccl_check/exchange.h"

namespace longspan {

struct ExchangeCase {
  std::string name;
  // All ranks run it at the same time. Keeps what the exchange left.
  std::function<absl::Status(Exchange&)> run;
};

// With `large` also sums that NCCL groups cut into several pieces.
std::vector<ExchangeCase> ExchangeCases(bool large);

}  // namespace longspan

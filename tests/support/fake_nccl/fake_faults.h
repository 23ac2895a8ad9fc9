// What the fake NCCL is told to do wrong. README.md has the list.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace longspan::fake_nccl {

struct Faults {
  bool hang_init = false;
  bool fail_init = false;
  bool hang_abort = false;
  bool silent = false;
  int64_t slow_microseconds = 0;
  std::map<std::string, int64_t> at;  // "hang" -> number of the operation

  bool Strikes(const char* fault, int64_t operation) const {
    const auto found = at.find(fault);
    return found != at.end() && found->second == operation;
  }
};

// Those of LONGSPAN_FAKE_NCCL that concern `rank`.
Faults ReadFaults(int rank);

}  // namespace longspan::fake_nccl

#include "tests/support/fake_nccl/fake_faults.h"

#include <cstdlib>
#include <sstream>

namespace longspan::fake_nccl {
namespace {

// "name", "name:number", "name@rank" or "name@rank:number".
void ReadFault(const std::string& word, int rank, Faults* faults) {
  const size_t colon = word.find(':');
  const size_t at = word.find('@');
  const std::string name = word.substr(0, at < colon ? at : colon);
  if (at != std::string::npos && std::atoi(word.c_str() + at + 1) != rank) {
    return;
  }
  const int64_t number =
      colon == std::string::npos ? 0 : std::atoll(word.c_str() + colon + 1);
  if (name == "hang_init") faults->hang_init = true;
  if (name == "fail_init") faults->fail_init = true;
  if (name == "hang_abort") faults->hang_abort = true;
  if (name == "silent") faults->silent = true;
  if (name == "slow") faults->slow_microseconds = number;
  if (colon != std::string::npos && at != std::string::npos) {
    faults->at[name] = number;
  }
}

}  // namespace

Faults ReadFaults(int rank) {
  Faults faults;
  const char* text = std::getenv("LONGSPAN_FAKE_NCCL");
  std::istringstream words(text == nullptr ? "" : text);
  for (std::string word; std::getline(words, word, ',');) {
    ReadFault(word, rank, &faults);
  }
  return faults;
}

}  // namespace longspan::fake_nccl

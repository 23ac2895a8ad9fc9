// Tokens of generate jobs, for the streams that deliver them. A new attempt
// generates the same tokens again (same seed), so those that are already here
// are skipped. In memory only; the result of the job holds all of them too.
// Not thread-safe; the core guards it.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <vector>

#include "coordinator/job/job_name.h"
#include "longspan/v1/worker_service.pb.h"

namespace longspan::coordinator {

class TokenBoard {
 public:
  // Jobs whose tokens are kept; the oldest go first.
  static constexpr size_t kMaxJobs = 256;

  // True if there are new tokens.
  bool Append(const JobName& job, const v1::Tokens& tokens);

  // Null if there are none.
  const std::vector<v1::GeneratedTokenData>* Find(const JobName& job) const;

  void Forget(const JobName& job);

 private:
  struct Entry {
    int attempt = 0;
    size_t received = 0;  // of this attempt
    std::vector<v1::GeneratedTokenData> tokens;
  };

  std::map<JobName, Entry> board_;
  std::deque<JobName> order_;  // oldest first
};

}  // namespace longspan::coordinator

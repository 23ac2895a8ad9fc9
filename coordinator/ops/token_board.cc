#include "coordinator/ops/token_board.h"

#include <algorithm>

namespace longspan::coordinator {

bool TokenBoard::Append(const JobName& job, const v1::Tokens& tokens) {
  auto [found, fresh] = board_.try_emplace(job);
  if (fresh) order_.push_back(job);
  if (order_.size() > kMaxJobs) Forget(order_.front());
  Entry& entry = found->second;
  if (entry.attempt != tokens.key().attempt()) {
    entry.attempt = tokens.key().attempt();
    entry.received = 0;
  }
  const size_t before = entry.tokens.size();
  for (const v1::GeneratedTokenData& token : tokens.tokens()) {
    if (entry.received++ >= entry.tokens.size()) entry.tokens.push_back(token);
  }
  return entry.tokens.size() > before;
}

const std::vector<v1::GeneratedTokenData>* TokenBoard::Find(
    const JobName& job) const {
  auto found = board_.find(job);
  return found == board_.end() ? nullptr : &found->second.tokens;
}

void TokenBoard::Forget(const JobName& job) {
  board_.erase(job);
  order_.erase(std::remove(order_.begin(), order_.end(), job), order_.end());
}

}  // namespace longspan::coordinator

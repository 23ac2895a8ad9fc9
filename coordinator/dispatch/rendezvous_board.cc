#include "coordinator/dispatch/rendezvous_board.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace longspan::coordinator {

RendezvousBoard::Board& RendezvousBoard::BoardOf(const JobName& job,
                                                 int64_t epoch) {
  Board& board = boards_[job];
  if (board.epoch != epoch) board = Board{epoch, {}, {}};
  return board;
}

absl::StatusOr<std::vector<RendezvousAnswer>> RendezvousBoard::Set(
    const JobName& job, int64_t epoch, const std::string& key,
    const std::string& value) {
  Board& board = BoardOf(job, epoch);
  if (value.size() > kMaxValueBytes || board.values.size() >= kMaxKeys) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "rendezvous key ", key, " of ", value.size(), " bytes: the limits are ",
        kMaxValueBytes, " bytes and ", kMaxKeys, " keys"));
  }
  auto [entry, fresh] = board.values.try_emplace(key, value);
  if (!fresh && entry->second != value) {
    return absl::AlreadyExistsError(
        absl::StrCat("rendezvous key ", key, " has another value"));
  }
  std::vector<RendezvousAnswer> answers;
  auto waiting = board.waiting.find(key);
  if (waiting == board.waiting.end()) return answers;
  for (RendezvousAsker& asker : waiting->second) {
    answers.push_back({std::move(asker), value});
  }
  board.waiting.erase(waiting);
  return answers;
}

std::vector<RendezvousAnswer> RendezvousBoard::Get(
    const JobName& job, int64_t epoch, const std::string& key,
    const RendezvousAsker& asker) {
  Board& board = BoardOf(job, epoch);
  auto found = board.values.find(key);
  if (found != board.values.end()) return {{asker, found->second}};
  board.waiting[key].push_back(asker);
  return {};
}

void RendezvousBoard::Forget(const JobName& job) { boards_.erase(job); }

}  // namespace longspan::coordinator

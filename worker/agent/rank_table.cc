#include "worker/agent/rank_table.h"

#include "absl/strings/str_cat.h"

namespace longspan::worker {

v1::AttemptKey RankKey::attempt_key() const {
  v1::AttemptKey key;
  key.set_job(job);
  key.set_attempt(attempt);
  key.set_epoch(epoch);
  return key;
}

bool RankKey::IsOf(const v1::AttemptKey& key) const {
  return job == key.job() && attempt == key.attempt() && epoch == key.epoch();
}

std::string RankKey::ToString() const {
  return absl::StrCat(job, " attempt ", attempt, " epoch ", epoch, " rank ",
                      rank);
}

bool RankRecord::ended() const {
  return status.state() == v1::AssignmentStatus::SUCCEEDED ||
         status.state() == v1::AssignmentStatus::FAILED ||
         status.state() == v1::AssignmentStatus::STOPPED;
}

bool RankTable::IsStale(const v1::AttemptKey& key) const {
  const auto it = fences_.find(key.job());
  return it != fences_.end() && Fence(key.attempt(), key.epoch()) < it->second;
}

bool RankTable::Admit(const v1::AttemptKey& key) {
  if (IsStale(key)) return false;
  fences_[key.job()] = Fence(key.attempt(), key.epoch());
  return true;
}

RankRecord* RankTable::Add(const v1::Assignment& assignment) {
  const RankKey key(assignment.key(), assignment.rank());
  auto& record = ranks_[key];
  record = std::make_unique<RankRecord>();
  record->key = key;
  record->assignment = assignment;
  return record.get();
}

RankRecord* RankTable::Find(const RankKey& key) {
  const auto it = ranks_.find(key);
  return it == ranks_.end() ? nullptr : it->second.get();
}

void RankTable::Remove(const RankKey& key) { ranks_.erase(key); }

std::vector<RankRecord*> RankTable::All() {
  std::vector<RankRecord*> records;
  for (auto& [key, record] : ranks_) records.push_back(record.get());
  return records;
}

std::vector<RankRecord*> RankTable::OfAttempt(const v1::AttemptKey& key) {
  std::vector<RankRecord*> records;
  for (auto& [rank_key, record] : ranks_) {
    if (rank_key.IsOf(key)) records.push_back(record.get());
  }
  return records;
}

std::vector<RankRecord*> RankTable::OlderThan(const v1::AttemptKey& key) {
  std::vector<RankRecord*> records;
  for (auto& [rank_key, record] : ranks_) {
    const bool older = Fence(rank_key.attempt, rank_key.epoch) <
                       Fence(key.attempt(), key.epoch());
    if (rank_key.job == key.job() && older) records.push_back(record.get());
  }
  return records;
}

RankRecord* RankTable::HolderOf(int slot) {
  for (auto& [key, record] : ranks_) {
    if (record->process != nullptr && record->slot() == slot) {
      return record.get();
    }
  }
  return nullptr;
}

RankRecord* RankTable::WaiterFor(int slot) {
  for (auto& [key, record] : ranks_) {
    if (record->process == nullptr && !record->ended() &&
        record->slot() == slot) {
      return record.get();
    }
  }
  return nullptr;
}

int RankTable::running_processes() {
  int running = 0;
  for (auto& [key, record] : ranks_) running += record->process != nullptr;
  return running;
}

}  // namespace longspan::worker

// The heads of a group, which one thread walks together chunk by chunk: the
// order of work that all precisions and transitions share. A `Group` derives
// from one of the sweeps and says what a chunk of them takes; a `Pass` is one
// head's walk. Nothing is allocated.
#pragma once

#include <optional>

#include "kernels/cpu/chunk_walk.h"
#include "kernels/cpu/linear_attention_kernels.h"

namespace longspan::kernels::LONGSPAN_ISA {

template <typename Pass>
class HeadGroup {
 public:
  template <typename Fn>
  void ForEachPass(const Fn& fn) {
    for (int64_t h = 0; h < count_; ++h) fn(*passes_[h]);
  }

 protected:
  HeadGroup(int64_t count, const ChunkWalk& walk)
      : count_(count), walk_(walk) {}

  const int64_t count_;
  const ChunkWalk walk_;
  std::optional<Pass> passes_[kMaxGroupHeads];
};

// Group::OutputChunk(chunk) does a chunk of all heads.
template <typename Group, typename Pass>
class ForwardSweep : public HeadGroup<Pass> {
 public:
  void Outputs(bool inter) {
    this->ForEachPass([](Pass& pass) { pass.LoadState(); });
    for (int64_t t = 0; t < walk_.tokens();) {
      const Chunk chunk = walk_.From(t);
      static_cast<Group*>(this)->OutputChunk(chunk);
      t = chunk.end;
      if (inter) StoreSnapshots(t);
    }
    if (inter) StoreStates();
  }

  // Sums states only, from the last document start on.
  void Summarise() {
    for (int64_t t = walk_.last_start(); t < walk_.tokens();) {
      const Chunk chunk = walk_.From(t);
      this->ForEachPass([&](Pass& pass) { pass.SummariseChunk(chunk); });
      t = chunk.end;
    }
    StoreStates();
  }

 protected:
  // `snapshot_interval` as in kernels/api/linear_attention.h.
  ForwardSweep(int64_t count, const ChunkWalk& walk, int64_t snapshot_interval)
      : HeadGroup<Pass>(count, walk), snapshot_interval_(snapshot_interval) {}

  using HeadGroup<Pass>::count_;
  using HeadGroup<Pass>::walk_;
  using HeadGroup<Pass>::passes_;

 private:
  void StoreStates() {
    this->ForEachPass([](const Pass& pass) { pass.StoreState(); });
  }

  void StoreSnapshots(int64_t tokens) {
    if (snapshot_interval_ == 0 || tokens == walk_.tokens()) return;
    if (tokens % snapshot_interval_ != 0) return;
    const int64_t snapshot = tokens / snapshot_interval_ - 1;
    this->ForEachPass([&](const Pass& pass) { pass.StoreSnapshot(snapshot); });
  }

  const int64_t snapshot_interval_;
};

// Group::FillStates(group) keeps the states at the starts of a group's blocks,
// Group::ReverseChunk(chunk, block) does a chunk of all heads; `block` counts
// from the group's first.
template <typename Group, typename Pass>
class BackwardSweep : public HeadGroup<Pass> {
 public:
  void Gradients() {
    if (inter_) {
      this->ForEachPass([](Pass& pass) {
        pass.LoadInitialState();
        pass.LoadFinalGradient();
      });
      for (int64_t group = 0; group < plan_.groups; ++group) {
        self().FillStates(group);
      }
    }
    for (int64_t group = plan_.groups - 1; group >= 0; --group) {
      if (inter_ && group + 1 < plan_.groups) self().FillStates(group);
      ReverseGroup(group);
    }
    if (inter_) StoreInitialGradients();
  }

  // dS at the range's start from its own outputs, through tokens that precede
  // the first document start.
  void Summarise() {
    for (int64_t t = walk_.first_start(); t > 0;) {
      const Chunk chunk = walk_.Until(t);
      this->ForEachPass([&](Pass& pass) { pass.SummariseChunk(chunk); });
      t = chunk.begin;
    }
    StoreInitialGradients();
  }

 protected:
  BackwardSweep(int64_t count, const ChunkWalk& walk,
                const LinearAttentionPlan& plan, bool inter)
      : HeadGroup<Pass>(count, walk), plan_(plan), inter_(inter) {}

  using HeadGroup<Pass>::count_;
  using HeadGroup<Pass>::walk_;
  using HeadGroup<Pass>::passes_;

  int64_t BlockBegin(int64_t block) const {
    const int64_t begin = block * kChunk;
    return begin < walk_.tokens() ? begin : walk_.tokens();
  }

  const LinearAttentionPlan plan_;

 private:
  Group& self() { return *static_cast<Group*>(this); }

  void ReverseGroup(int64_t group) {
    const int64_t first = group * plan_.group_blocks;
    const int64_t begin = BlockBegin(first);
    for (int64_t t = BlockBegin(first + plan_.group_blocks); t > begin;) {
      const Chunk chunk = walk_.Until(t);
      self().ReverseChunk(chunk, chunk.begin / kChunk - first);
      t = chunk.begin;
    }
  }

  void StoreInitialGradients() {
    this->ForEachPass([](Pass& pass) { pass.StoreInitialGradient(); });
  }

  const bool inter_;
};

// What a range's gates together do to a state, as a logarithm; of kConstant and
// kPerToken.
template <typename Sequence>
double LogGateSum(const Sequence& sequence) {
  if (sequence.decay == DecayKind::kConstant) {
    return sequence.tokens * sequence.log_decay;
  }
  double sum = 0.0;
  if (sequence.decay == DecayKind::kPerToken) {
    for (int64_t t = 0; t < sequence.tokens; ++t) {
      sum += sequence.log_gate.data[t * sequence.log_gate.stride];
    }
  }
  return sum;
}

}  // namespace longspan::kernels::LONGSPAN_ISA

// Prints, for every method of sequence parallelism and every transition, how
// far gangs of 1, 2, 3, 4, 7 and 8 ranks (threads) are from one rank, and what
// their ranks send, counted by the transport, beside the formula:
//
//   longspan-sequence-parallel-table
//
// Errors are the largest difference of outputs, of the embedding's gradient
// token by token and of all parameters' gradients, over the largest value, in
// f64: the worst of a length that no gang divides, packed documents, a batch,
// and ranges of one token. Bytes are those of one layer of simple_gla, or of
// softmax, sent by the rank that sends most; those of lasp2's gathers as bf16
// and in several calls are of f32. Exit status 1 when an error is above 1e-10,
// a count is not its formula, or any rank of any run sent other bytes or
// messages than planned.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/model_spec/communication_plan.h"
#include "tests/support/model_gang/distance.h"
#include "tests/support/model_gang/model_gang.h"
#include "tests/support/transfer_lines.h"

namespace longspan::testing {
namespace {

constexpr double kBound = 1e-10;
constexpr int64_t kHidden = 12;
constexpr int64_t kHeads = 8;
constexpr int64_t kKeyDim = 4;
constexpr int64_t kValueDim = 6;
constexpr int64_t kHeadDim = 4;  // of softmax
constexpr int64_t kBytes = 8;    // of a number
const std::vector<int> kRanks = {1, 2, 3, 4, 7, 8};

struct Method {
  const char* layers;
  std::string name;
  SequenceParallel linear = SequenceParallel::kLasp2;
  SoftmaxParallel softmax = SoftmaxParallel::kGather;
};

std::vector<Method> LinearMethods() {
  std::vector<Method> methods;
  for (SequenceParallel method :
       {SequenceParallel::kLasp2, SequenceParallel::kLasp1,
        SequenceParallel::kLasp1Serial, SequenceParallel::kAllScan,
        SequenceParallel::kScan, SequenceParallel::kUlysses,
        SequenceParallel::kRing, SequenceParallel::kRingLeft,
        SequenceParallel::kMegatronSp}) {
    methods.push_back({"L", std::string(SequenceParallelName(method)), method});
  }
  return methods;
}

std::vector<Method> SoftmaxMethods() {
  std::vector<Method> methods;
  for (SoftmaxParallel method :
       {SoftmaxParallel::kGather, SoftmaxParallel::kRing,
        SoftmaxParallel::kUlysses, SoftmaxParallel::kMegatronSp}) {
    methods.push_back({"N", std::string(SoftmaxParallelName(method)),
                       SequenceParallel::kLasp2, method});
  }
  return methods;
}

ModelSpec SpecOf(LinearMixer mixer, const std::string& layers, bool bare) {
  ModelSpec spec;
  spec.vocabulary_size = 19;
  spec.hidden_size = kHidden;
  spec.layer_count = static_cast<int64_t>(layers.size());
  spec.layer_pattern = layers;
  spec.linear.mixer = mixer;
  spec.linear.heads = kHeads;
  spec.linear.key_dim = kKeyDim;
  spec.linear.value_dim = kValueDim;
  spec.softmax.heads = spec.softmax.key_heads = kHeads;
  spec.softmax.head_dim = kHeadDim;
  spec.mlp.intermediate_size = 20;
  spec.initializer_scale = 0.3;
  spec = ResolveDefaults(spec);
  if (bare) spec.linear.short_convolution = 0;
  return spec;
}

// ---- How far from one rank -------------------------------------------------

double GangDistance(const GangResult& gang, const GangResult& one) {
  return std::max({Distance(gang.hidden, one.hidden),
                   Distance(gang.d_embedding, one.d_embedding),
                   Distance(gang.gradients, one.gradients)});
}

// The last has ranges of one token, all but the last one, where the gang is
// told.
std::vector<GangCase> CasesOf(const ModelSpec& spec) {
  std::vector<GangCase> cases = {
      MakeGangCase(spec, 1, 71), MakeGangCase(spec, 1, 71),
      MakeGangCase(spec, 2, 29), MakeGangCase(spec, 1, 11)};
  cases[1].document_starts = {0, 23, 25, 47, 49};
  return cases;
}

std::vector<TokenRange> ShortRanges(int64_t tokens, int ranks) {
  std::vector<TokenRange> ranges;
  for (int r = 0; r < ranks; ++r) {
    ranges.push_back({r, r + 1 == ranks ? tokens : r + 1});
  }
  return ranges;
}

bool AsPlanned(const GangCase& c, const GangResult& result, int ranks) {
  bool same = true;
  for (int rank = 0; rank < ranks; ++rank) {
    CommunicationShape shape;
    shape.batch = c.batch;
    shape.ranges = RangesOf(c, ranks);
    shape.element_bytes = kernels::BytesPerElement(c.dtype);
    shape.method = c.method;
    shape.softmax_method = c.softmax_method;
    shape.state_gather = c.state_gather;
    TransferLines planned = Planned(PlanCommunication(c.spec, shape, rank));
    TransferLines counted = Counted(result.ranks[rank].counters);
    std::sort(planned.begin(), planned.end());
    std::sort(counted.begin(), counted.end());
    same = same && planned == counted;
  }
  return same;
}

// One row: the worst of all cases for each number of ranks.
class ErrorRow {
 public:
  explicit ErrorRow(const ModelSpec& spec) : cases_(CasesOf(spec)) {
    for (const GangCase& c : cases_) ones_.push_back(TrainOnce(c, 1));
  }

  std::string Of(const Method& method, bool& good) {
    std::string cells;
    for (int ranks : kRanks) {
      double worst = 0;
      for (size_t i = 0; i < cases_.size(); ++i) {
        GangCase c = cases_[i];
        c.method = method.linear;
        c.softmax_method = method.softmax;
        if (i + 1 == cases_.size()) c.ranges = ShortRanges(c.tokens, ranks);
        const GangResult gang = TrainOnce(c, ranks);
        worst = std::max(worst, GangDistance(gang, ones_[i]));
        if (!AsPlanned(c, gang, ranks)) {
          good = false;
          cells += " NOT AS PLANNED";
        }
      }
      good = good && worst <= kBound;
      absl::StrAppendFormat(&cells, " %.1e%s |", worst,
                            worst <= kBound ? "" : " TOO FAR");
    }
    return cells;
  }

 private:
  const std::vector<GangCase> cases_;
  std::vector<GangResult> ones_;
};

struct Transition {
  const char* name;
  LinearMixer mixer;
  bool by_head;  // a decay for each head, or none: what ring_left has
};
constexpr Transition kTransitions[] = {
    {"identity", LinearMixer::kBasic, true},
    {"constant", LinearMixer::kLightning, true},
    {"scalar", LinearMixer::kSimpleGla, true},
    {"vector", LinearMixer::kGla, false},
    {"dense", LinearMixer::kKda, false}};

bool PrintErrors() {
  std::cout << "## Largest error against one rank, f64\n\n"
            << "| method | transition |";
  for (int ranks : kRanks) std::cout << " W = " << ranks << " |";
  std::cout << "\n|---|---|---:|---:|---:|---:|---:|---:|\n";
  bool good = true;
  for (const Transition& transition : kTransitions) {
    ErrorRow row(SpecOf(transition.mixer, "LL", /*bare=*/false));
    for (const Method& method : LinearMethods()) {
      if (method.linear == SequenceParallel::kRingLeft && !transition.by_head) {
        continue;
      }
      std::cout << "| `" << method.name << "` | " << transition.name << " |"
                << row.Of(method, good) << "\n";
    }
  }
  ErrorRow row(SpecOf(LinearMixer::kBasic, "NN", /*bare=*/false));
  for (const Method& method : SoftmaxMethods()) {
    std::cout << "| `" << method.name << "` | softmax |" << row.Of(method, good)
              << "\n";
  }
  return good;
}

// ---- What ranks send -------------------------------------------------------

// Of the rank that sends most.
struct Sent {
  int64_t forward = 0;  // bytes
  int64_t backward = 0;
  int64_t forward_calls = 0;
  int64_t backward_calls = 0;

  friend bool operator==(const Sent&, const Sent&) = default;
};

Sent Most(const Sent& a, const Sent& b) {
  return {std::max(a.forward, b.forward), std::max(a.backward, b.backward),
          std::max(a.forward_calls, b.forward_calls),
          std::max(a.backward_calls, b.backward_calls)};
}

Sent CountedOf(const worker::TransferCounters& counters) {
  Sent sent;
  for (const auto& [tag, counts] : counters) {
    if (tag.layer != 0) continue;
    const bool forward = tag.direction == worker::Direction::kForward;
    (forward ? sent.forward : sent.backward) += counts.bytes_sent;
    (forward ? sent.forward_calls : sent.backward_calls) += counts.launches;
  }
  return sent;
}

// Part r of `count` cut into W, the first ones longer by one.
int64_t Part(int64_t count, int r, int ranks) {
  return count / ranks + (r < count % ranks ? 1 : 0);
}

// Tokens of the parts before it.
int64_t Before(int64_t count, int r, int ranks) {
  int64_t before = 0;
  for (int i = 0; i < r; ++i) before += Part(count, i, ranks);
  return before;
}

int64_t Rounds(int ranks) {
  int64_t rounds = 0;
  for (int reached = 1; reached < ranks; reached *= 2) ++rounds;
  return rounds;
}

// Each rank's rows to the heads' ranks, `in` numbers a head, and back, `out`.
Sent ByHeads(int64_t tokens, int ranks, int64_t in, int64_t out) {
  Sent most;
  for (int r = 0; r < ranks; ++r) {
    const int64_t n = Part(tokens, r, ranks), h = Part(kHeads, r, ranks);
    const int64_t there = n * (kHeads - h), back = (tokens - n) * h;
    most = Most(most, {kBytes * (there * in + back * out),
                       kBytes * (there * out + back * in), 2, 2});
  }
  return most;
}

// Each rank's rows of the layer's input to all others and the others' rows of
// its output to them; backward the gradients of both, and the input again.
Sent ByLayers(int64_t tokens, int ranks) {
  Sent most;
  for (int r = 0; r < ranks; ++r) {
    const int64_t n = Part(tokens, r, ranks);
    const int64_t gather = n * (ranks - 1), scatter = tokens - n;
    most = Most(most, {kBytes * kHidden * (gather + scatter),
                       kBytes * kHidden * (2 * gather + scatter), 2, 3});
  }
  return most;
}

// Section 3 of the reference, of scalar gates: S numbers of a state and x of
// its decay, N tokens.
Sent FormulaOf(SequenceParallel method, int64_t tokens, int ranks) {
  const int64_t s = kBytes * kHeads * kKeyDim * kValueDim;
  const int64_t x = kBytes * kHeads;
  const int64_t row = kBytes * kHeads * (kKeyDim + kValueDim + 1);
  const int64_t hops = ranks - 1, middle = ranks > 2 ? 1 : 0;
  switch (method) {
    case SequenceParallel::kLasp2:
      return {hops * (s + x), hops * s, 1, 1};
    case SequenceParallel::kLasp1:
    case SequenceParallel::kLasp1Serial:
      return {s, s, 1 + middle, 1 + middle};
    case SequenceParallel::kAllScan:  // K = 8 blocks of heads
      return {s, s, kHeads + middle, kHeads + middle};
    case SequenceParallel::kScan:
      return {Rounds(ranks) * (s + x), Rounds(ranks) * (s + x), Rounds(ranks),
              Rounds(ranks)};
    case SequenceParallel::kUlysses:
      return ByHeads(tokens, ranks, 2 * kKeyDim + kValueDim + 1, kValueDim);
    case SequenceParallel::kRing:  // all rows but the last range's, the first's
      return {(tokens - Part(tokens, ranks - 1, ranks)) * row,
              (tokens - Part(tokens, 0, ranks)) * row, hops, hops};
    case SequenceParallel::kRingLeft: {
      // Backward k, v and gates again, then q, dO and gates the other way, and
      // a number a head of all ranks.
      Sent most;
      for (int r = 0; r < ranks; ++r) {
        const int64_t before = Before(tokens, r, ranks);
        const int64_t own = Part(tokens, r, ranks);
        const int64_t up = r + 1 < ranks ? before + own : 0;
        const int64_t down = r > 0 ? tokens - before : 0;
        const int64_t up_calls = r + 1 < ranks ? r + 1 : r;
        const int64_t down_calls = r > 0 ? ranks - r : ranks - 1 - r;
        most = Most(most, {up * row, (up + down) * row + hops * x, up_calls,
                           up_calls + down_calls + 1});
      }
      return most;
    }
    case SequenceParallel::kMegatronSp:
      return ByLayers(tokens, ranks);
  }
  return {};
}

std::string CellsOf(const Sent& sent) {
  return absl::StrFormat("%d | %d | %d, %d", sent.forward, sent.backward,
                         sent.forward_calls, sent.backward_calls);
}

Sent CountedOf(const GangResult& result) {
  Sent counted;
  for (const RankReport& rank : result.ranks) {
    counted = Most(counted, CountedOf(rank.counters));
  }
  return counted;
}

bool PrintBytes() {
  std::cout << "\n## Bytes and messages of one layer of scalar gates, "
            << kHeads << " heads of " << kKeyDim << " x " << kValueDim
            << ", counted\n\n"
            << "| method | W | N | forward | backward | messages | formula |\n"
            << "|---|---:|---:|---:|---:|---:|---|\n";
  bool good = true;
  for (const Method& method : LinearMethods()) {
    for (int ranks : kRanks) {
      for (int64_t tokens : {8, 71, 512}) {
        if (ranks == 1) continue;
        GangCase c =
            MakeGangCase(SpecOf(LinearMixer::kSimpleGla, "L", true), 1, tokens);
        c.method = method.linear;
        const GangResult result = TrainOnce(c, ranks);
        const Sent counted = CountedOf(result);
        const Sent formula = FormulaOf(method.linear, tokens, ranks);
        const bool same = counted == formula && AsPlanned(c, result, ranks);
        good = good && same;
        std::cout << "| `" << method.name << "` | " << ranks << " | " << tokens
                  << " | " << CellsOf(counted) << " | "
                  << (same ? "=" : "NOT " + CellsOf(formula)) << " |\n";
      }
    }
  }
  return good;
}

struct GatherForm {
  const char* name;
  GatherSettings settings;
};
constexpr GatherForm kGathers[] = {
    {"f32", {}},
    {"f32 in 4 calls", {.splits = 4}},
    {"bf16", {.bf16 = true}},
    {"bf16 in 4 calls", {.bf16 = true, .splits = 4}}};

// (W - 1)(S + x) forward and (W - 1) S backward, in f32, with S halved in bf16.
Sent FormulaOf(const GatherSettings& gather, int ranks) {
  const int64_t s = (gather.bf16 ? 2 : 4) * kHeads * kKeyDim * kValueDim;
  const int64_t x = 4 * kHeads;
  return {(ranks - 1) * (s + x), (ranks - 1) * s, gather.splits, gather.splits};
}

bool PrintGathers() {
  std::cout << "\n## The same of `lasp2` in f32, by how states travel\n\n"
            << "| states | W | forward | backward | messages | formula |\n"
            << "|---|---:|---:|---:|---:|---|\n";
  bool good = true;
  for (const GatherForm& form : kGathers) {
    for (int ranks : kRanks) {
      if (ranks == 1) continue;
      GangCase c =
          MakeGangCase(SpecOf(LinearMixer::kSimpleGla, "L", true), 1, 71);
      c.dtype = kernels::DType::kF32;
      c.state_gather = form.settings;
      const GangResult result = TrainOnce(c, ranks);
      const Sent counted = CountedOf(result);
      const Sent formula = FormulaOf(form.settings, ranks);
      const bool same = counted == formula && AsPlanned(c, result, ranks);
      good = good && same;
      std::cout << "| " << form.name << " | " << ranks << " | "
                << CellsOf(counted) << " | "
                << (same ? "=" : "NOT " + CellsOf(formula)) << " |\n";
    }
  }
  return good;
}

void PrintRefusal() {
  std::cout << "\nFewer tokens than ranks are refused: \""
            << SplitTokens(3, 4).status().message() << "\".\n";
}

}  // namespace
}  // namespace longspan::testing

int main() {
  const bool near = longspan::testing::PrintErrors();
  const bool counted = longspan::testing::PrintBytes();
  const bool gathered = longspan::testing::PrintGathers();
  longspan::testing::PrintRefusal();
  return near && counted && gathered ? EXIT_SUCCESS : EXIT_FAILURE;
}

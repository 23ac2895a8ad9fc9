#include "tests/support/attention/linear_attention_cases.h"

#include <utility>

namespace longspan::kernels {
namespace {

using Cases = std::vector<LinearAttentionCase>;
using Transitions = std::vector<Transition>;

constexpr Transition kIdentity = Transition::kIdentity;
constexpr Transition kConstant = Transition::kConstant;
constexpr Transition kScalar = Transition::kScalar;
constexpr Transition kVector = Transition::kVector;
constexpr Transition kDense = Transition::kDense;

LinearAttentionCase Make(int64_t batch, int64_t tokens, int64_t heads,
                         int64_t key_dim, int64_t value_dim,
                         Transition transition) {
  constexpr const char* kNames[] = {"Identity", "Constant", "Scalar", "Vector",
                                    "Dense"};
  LinearAttentionCase c;
  c.batch = batch;
  c.tokens = tokens;
  c.heads = heads;
  c.key_dim = key_dim;
  c.value_dim = value_dim;
  c.transition = transition;
  c.name = std::string(kNames[static_cast<int>(transition)]) + "B" +
           std::to_string(batch) + "T" + std::to_string(tokens) + "H" +
           std::to_string(heads) + "K" + std::to_string(key_dim) + "V" +
           std::to_string(value_dim);
  return c;
}

// Lengths around the chunk, with every transition.
void AddLengths(const Transitions& transitions, Cases& cases) {
  for (int64_t tokens : {1, 15, 63, 64, 65, 100, 255, 256, 257, 913}) {
    for (Transition transition : transitions) {
      const int64_t heads = tokens % 2 == 0 ? 3 : 1;
      cases.push_back(Make(1, tokens, heads, 16, 16, transition));
      cases.back().fused_projection = heads == 3;
    }
  }
}

// `transitions` in turn.
void AddHeadSizes(const Transitions& transitions, Cases& cases) {
  constexpr std::pair<int64_t, int64_t> kSizes[] = {
      {1, 1},   {16, 32},  {32, 32},   {60, 60},   {64, 64}, {80, 24},
      {64, 80}, {128, 64}, {128, 128}, {192, 128}, {7, 256}, {256, 5}};
  size_t i = 0;
  for (auto [key_dim, value_dim] : kSizes) {
    cases.push_back(Make(1, 67, 1, key_dim, value_dim,
                         transitions[i % transitions.size()]));
    cases.back().fused_projection = i % 2 == 0;
    ++i;
  }
  cases.push_back(Make(2, 70, 5, 16, 32, transitions.front()));
  cases.push_back(Make(3, 65, 3, 32, 16, transitions.back()));
}

void AddGates(const Transitions& transitions, Cases& cases) {
  constexpr std::pair<Gates, const char*> kKinds[] = {
      {Gates::kStrong, "Strong"},
      {Gates::kZero, "Zero"},
      {Gates::kPerHead, "PerHead"},
      {Gates::kClosed, "Closed"}};
  for (auto [gates, name] : kKinds) {
    for (Transition transition : transitions) {
      if (gates == Gates::kClosed && transition == kConstant) continue;
      LinearAttentionCase c = Make(1, 200, 3, 16, 24, transition);
      c.gates = gates;
      c.name += name;
      cases.push_back(c);
    }
  }
}

void AddEnds(const Transitions& transitions, Cases& cases) {
  for (Transition transition : transitions) {
    LinearAttentionCase c = Make(2, 130, 1, 16, 16, transition);
    c.has_initial_state = false;
    c.name += "NoInitial";
    cases.push_back(c);
    c.has_final_gradient = false;
    c.name += "NoFinal";
    cases.push_back(c);
  }
}

void AddDocuments(const Transitions& transitions, Cases& cases) {
  const std::pair<const char*, std::vector<int64_t>> kStarts[] = {
      {"At0", {0}},
      {"At1", {1}},
      {"Adjacent", {17, 18, 19, 150, 151}},
      {"Aligned", {64, 128, 192}},
      {"Unaligned", {0, 15, 100, 201}},
      {"LastToken", {210}},
      {"AfterBlock", {65, 129}}};
  for (const auto& [name, starts] : kStarts) {
    for (Transition transition : transitions) {
      LinearAttentionCase c = Make(1, 211, 2, 16, 16, transition);
      c.document_starts = starts;
      c.name += std::string("Documents") + name;
      cases.push_back(c);
    }
  }
}

Cases MakeCases() {
  Cases cases;
  AddLengths({kIdentity, kConstant, kScalar}, cases);
  AddHeadSizes({kScalar, kConstant, kIdentity}, cases);
  AddGates({kConstant, kScalar}, cases);
  AddEnds({kIdentity, kScalar}, cases);
  AddDocuments({kIdentity, kConstant, kScalar}, cases);
  return cases;
}

Cases MakeVectorGateCases() {
  Cases cases;
  AddLengths({kVector}, cases);
  AddHeadSizes({kVector}, cases);
  cases.push_back(Make(1, 66, 1, 512, 20, kVector));
  cases.push_back(Make(1, 66, 1, 20, 512, kVector));
  AddGates({kVector}, cases);
  AddEnds({kVector}, cases);
  AddDocuments({kVector}, cases);
  return cases;
}

// Every case with each decay in turn, and small ones with all of them.
Cases WithDenseDecays(const Cases& from) {
  constexpr std::pair<Transition, const char*> kDecays[] = {
      {kIdentity, "Delta"}, {kScalar, "GatedDelta"}, {kVector, "Kda"}};
  Cases cases;
  for (size_t i = 0; i < from.size(); ++i) {
    const bool small = from[i].tokens <= 130 && from[i].key_dim <= 16;
    for (size_t j = 0; j < 3; ++j) {
      if (!small && j != i % 3) continue;
      cases.push_back(from[i]);
      cases.back().dense_decay = kDecays[j].first;
      cases.back().name += kDecays[j].second;
    }
  }
  return cases;
}

Cases MakeDenseCases() {
  Cases cases;
  AddLengths({kDense}, cases);
  AddHeadSizes({kDense}, cases);
  cases.push_back(Make(1, 66, 1, 512, 20, kDense));
  cases.push_back(Make(1, 66, 1, 20, 512, kDense));
  AddEnds({kDense}, cases);
  AddDocuments({kDense}, cases);
  cases = WithDenseDecays(cases);
  Cases gated;
  AddGates({kDense}, gated);
  for (Transition decay : {kScalar, kVector}) {
    for (LinearAttentionCase c : gated) {
      c.dense_decay = decay;
      c.name += decay == kScalar ? "GatedDelta" : "Kda";
      cases.push_back(c);
    }
  }
  return cases;
}

Cases MakeGradientCases(const Transitions& transitions) {
  Cases cases;
  for (Transition transition : transitions) {
    cases.push_back(Make(2, 9, 2, 3, 5, transition));
    cases.push_back(Make(1, 70, 1, 4, 3, transition));
    LinearAttentionCase c = Make(1, 70, 1, 4, 3, transition);
    c.document_starts = {3, 64, 66};
    c.name += "Documents";
    cases.push_back(c);
  }
  return cases;
}

// `like` with every transition, and with each decay of the delta rule.
void AddTransitions(LinearAttentionCase like, const std::string& suffix,
                    Cases& cases) {
  constexpr std::pair<Transition, const char*> kDecays[] = {
      {kIdentity, "Delta"}, {kScalar, "GatedDelta"}, {kVector, "Kda"}};
  const auto add = [&](Transition transition, const std::string& decay) {
    like.name = Make(like.batch, like.tokens, like.heads, like.key_dim,
                     like.value_dim, transition)
                    .name +
                suffix + decay;
    like.transition = transition;
    cases.push_back(like);
  };
  for (Transition transition : {kIdentity, kConstant, kScalar, kVector}) {
    add(transition, "");
  }
  for (const auto& [decay, name] : kDecays) {
    like.dense_decay = decay;
    add(kDense, name);
  }
}

LinearAttentionCase SharedKeys(int64_t batch, int64_t tokens, int64_t heads,
                               int64_t key_heads, int64_t key_dim,
                               int64_t value_dim) {
  LinearAttentionCase c =
      Make(batch, tokens, heads, key_dim, value_dim, kIdentity);
  c.key_heads = key_heads;
  return c;
}

Cases MakeSharedKeyCases() {
  Cases cases;
  LinearAttentionCase c = SharedKeys(2, 130, 6, 2, 16, 24);
  c.fused_projection = true;
  AddTransitions(c, "Keys2", cases);
  c = SharedKeys(1, 75, 3, 1, 40, 16);
  c.document_starts = {0, 17, 64, 70};
  AddTransitions(c, "Keys1Documents", cases);
  c = SharedKeys(1, 70, 4, 2, 16, 16);
  c.has_initial_state = false;
  c.has_final_gradient = false;
  c.gates = Gates::kClosed;
  AddTransitions(c, "Keys2ClosedNoEnds", cases);
  // A state fills the cache: a thread walks the heads that share in parts.
  AddTransitions(SharedKeys(1, 20, 3, 1, 256, 256), "Keys1", cases);
  return cases;
}

Cases MakeSnapshotCases() {
  constexpr std::pair<int64_t, int64_t> kLengths[] = {
      {64, 64}, {65, 64}, {192, 64}, {260, 128}};
  Cases cases;
  for (auto [tokens, interval] : kLengths) {
    LinearAttentionCase c =
        SharedKeys(tokens < 100 ? 2 : 1, tokens, 2, 1, 8, 12);
    c.snapshot_interval = interval;
    AddTransitions(c, "Every" + std::to_string(interval), cases);
  }
  LinearAttentionCase c = SharedKeys(1, 200, 2, 2, 8, 12);
  c.snapshot_interval = 64;
  c.document_starts = {10, 64, 100, 193};
  AddTransitions(c, "Every64Documents", cases);
  return cases;
}

Cases MakeSharedKeyGradientCases() {
  Cases cases;
  AddTransitions(SharedKeys(2, 9, 4, 2, 3, 5), "Keys2", cases);
  LinearAttentionCase c = SharedKeys(1, 70, 3, 1, 4, 3);
  c.document_starts = {3, 64, 66};
  AddTransitions(c, "Keys1Documents", cases);
  return cases;
}

LinearAttentionCase BenchCase(int64_t tokens, int64_t heads, int64_t size,
                              Transition transition) {
  LinearAttentionCase c = Make(1, tokens, heads, size, size, transition);
  c.has_initial_state = false;
  c.has_final_gradient = false;
  return c;
}

Cases MakeBenchCases() {
  Cases cases;
  for (int64_t size : {64, 128, 256}) {
    for (Transition transition : {kIdentity, kConstant, kScalar, kVector}) {
      cases.push_back(BenchCase(4096, 4, size, transition));
    }
    for (Transition decay : {kIdentity, kScalar, kVector}) {
      cases.push_back(BenchCase(4096, 4, size, kDense));
      cases.back().dense_decay = decay;
    }
  }
  return cases;
}

Cases MakeLengthCases() {
  Cases cases;
  for (Transition transition : {kIdentity, kScalar}) {
    for (int64_t tokens : {8192, 32768, 131072, 524288, 1048576}) {
      cases.push_back(BenchCase(tokens, 1, 128, transition));
    }
  }
  return cases;
}

}  // namespace

const Cases& LinearAttentionCases() {
  static const Cases& cases = *new Cases(MakeCases());
  return cases;
}

const Cases& VectorGateCases() {
  static const Cases& cases = *new Cases(MakeVectorGateCases());
  return cases;
}

const Cases& LinearAttentionGradientCases() {
  static const Cases& cases =
      *new Cases(MakeGradientCases({kIdentity, kConstant, kScalar}));
  return cases;
}

const Cases& VectorGateGradientCases() {
  static const Cases& cases = *new Cases(MakeGradientCases({kVector}));
  return cases;
}

const Cases& DenseCases() {
  static const Cases& cases = *new Cases(MakeDenseCases());
  return cases;
}

const Cases& DenseGradientCases() {
  static const Cases& cases =
      *new Cases(WithDenseDecays(MakeGradientCases({kDense})));
  return cases;
}

const Cases& SharedKeyCases() {
  static const Cases& cases = *new Cases(MakeSharedKeyCases());
  return cases;
}

const Cases& SnapshotCases() {
  static const Cases& cases = *new Cases(MakeSnapshotCases());
  return cases;
}

const Cases& SharedKeyGradientCases() {
  static const Cases& cases = *new Cases(MakeSharedKeyGradientCases());
  return cases;
}

int64_t KeyHeads(const LinearAttentionCase& c) {
  return c.key_heads == 0 ? c.heads : c.key_heads;
}

int64_t GateWidth(const LinearAttentionCase& c) {
  const Transition decay =
      c.transition == kDense ? c.dense_decay : c.transition;
  if (decay == kVector) return c.key_dim;
  return decay == kScalar ? 1 : 0;
}

const Cases& LinearAttentionBenchCases() {
  static const Cases& cases = *new Cases(MakeBenchCases());
  return cases;
}

const Cases& LinearAttentionLengthCases() {
  static const Cases& cases = *new Cases(MakeLengthCases());
  return cases;
}

}  // namespace longspan::kernels

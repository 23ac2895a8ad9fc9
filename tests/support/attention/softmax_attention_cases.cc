#include "tests/support/attention/softmax_attention_cases.h"

#include <cmath>
#include <utility>

#include "common/base/check.h"

namespace longspan::kernels {
namespace {

using SoftmaxCases = std::vector<SoftmaxAttentionCase>;

constexpr AttentionMask kCausal = AttentionMask::kCausal;
constexpr AttentionMask kNone = AttentionMask::kNone;
constexpr AttentionMask kWindow = AttentionMask::kWindow;

SoftmaxAttentionCase Make(int64_t batch, int64_t query_tokens,
                          int64_t key_tokens, int64_t heads, int64_t key_heads,
                          int64_t head_dim, AttentionMask mask,
                          int64_t query_offset = 0, int64_t window = 0) {
  constexpr const char* kNames[] = {"Causal", "None", "Window"};
  SoftmaxAttentionCase c;
  c.batch = batch;
  c.query_tokens = query_tokens;
  c.key_tokens = key_tokens;
  c.heads = heads;
  c.key_heads = key_heads;
  c.head_dim = head_dim;
  c.mask = mask;
  c.query_offset = query_offset;
  c.window = window;
  const auto text = [](int64_t n) { return std::to_string(n); };
  c.name = std::string(kNames[static_cast<int>(mask)]) +
           (window > 0 ? text(window) : "") + "B" + text(batch) + "Q" +
           text(query_tokens) + "K" + text(key_tokens) + "H" + text(heads) +
           "G" + text(key_heads) + "D" + text(head_dim) + "At" +
           text(query_offset);
  return c;
}

// Every mask with offsets that do and do not meet the blocks; the last one
// has queries beyond the last key.
void AddMasks(SoftmaxCases& cases) {
  for (int64_t offset : {0, 1, 63, 64, 100, 250}) {
    cases.push_back(Make(1, 70, 200, 1, 1, 16, kCausal, offset));
    cases.push_back(Make(1, 70, 200, 1, 1, 16, kNone, offset));
    for (int64_t window : {1, 17, 64, 128}) {
      cases.push_back(Make(1, 70, 200, 1, 1, 16, kWindow, offset, window));
    }
  }
}

void AddLengths(SoftmaxCases& cases) {
  for (int64_t tokens : {1, 15, 63, 64, 65, 100, 255, 257}) {
    cases.push_back(Make(1, tokens, tokens, 1, 1, 32, kCausal));
  }
}

void AddHeads(SoftmaxCases& cases) {
  for (int64_t head_dim : {1, 7, 16, 60, 64, 80, 128, 192}) {
    cases.push_back(Make(1, 65, 65, 2, 1, head_dim, kCausal));
  }
  constexpr std::pair<int64_t, int64_t> kGroups[] = {{4, 2}, {5, 1}, {3, 3}};
  for (auto [heads, key_heads] : kGroups) {
    cases.push_back(Make(3, 66, 66, heads, key_heads, 16, kCausal));
    cases.push_back(Make(2, 66, 130, heads, key_heads, 16, kWindow, 64, 40));
  }
}

void AddDocuments(SoftmaxCases& cases) {
  const std::pair<const char*, std::vector<int64_t>> kStarts[] = {
      {"DocumentsAt0", {0}},
      {"DocumentsAt1", {1}},
      {"DocumentsAdjacent", {20, 21, 22, 100}},
      {"DocumentsAligned", {64, 128}},
      {"DocumentsUnaligned", {0, 15, 100, 149}}};
  for (const auto& [name, starts] : kStarts) {
    for (int64_t offset : {0, 50}) {
      for (AttentionMask mask : {kCausal, kNone, kWindow}) {
        SoftmaxAttentionCase c =
            Make(1, 100, 150, 2, 1, 16, mask, offset, mask == kWindow ? 30 : 0);
        c.document_starts = starts;
        c.name += name;
        cases.push_back(c);
      }
    }
  }
}

SoftmaxCases MakeSoftmaxCases() {
  SoftmaxCases cases;
  AddMasks(cases);
  AddLengths(cases);
  AddHeads(cases);
  AddDocuments(cases);
  return cases;
}

SoftmaxCases MakeSoftmaxGradientCases() {
  SoftmaxCases cases = {Make(2, 6, 9, 4, 2, 3, kCausal, 3),
                        Make(1, 6, 9, 2, 1, 3, kNone, 2),
                        Make(1, 66, 70, 1, 1, 3, kWindow, 4, 5)};
  cases.push_back(Make(1, 20, 24, 2, 1, 4, kCausal, 4));
  cases.back().document_starts = {5, 6, 20};
  cases.back().name += "Documents";
  return cases;
}

}  // namespace

const SoftmaxCases& SoftmaxAttentionCases() {
  static const SoftmaxCases& cases = *new SoftmaxCases(MakeSoftmaxCases());
  return cases;
}

const SoftmaxCases& SoftmaxAttentionGradientCases() {
  static const SoftmaxCases& cases =
      *new SoftmaxCases(MakeSoftmaxGradientCases());
  return cases;
}

const SoftmaxCases& SoftmaxAttentionBenchCases() {
  static const SoftmaxCases& cases =
      *new SoftmaxCases{Make(1, 4096, 4096, 2, 2, 64, kCausal),
                        Make(1, 4096, 4096, 2, 2, 128, kCausal)};
  return cases;
}

SoftmaxAttentionProblem::SoftmaxAttentionProblem(const SoftmaxAttentionCase& c,
                                                 DType dtype, uint64_t seed)
    : case_(c), dtype_(dtype) {
  q_buffer_ = HostTensor(dtype, {c.batch, c.query_tokens, c.heads, c.head_dim});
  q_ = q_buffer_.view();
  const int64_t width = c.key_heads * c.head_dim;
  kv_buffer_ = HostTensor(dtype, {c.batch, c.key_tokens, 2 * width});
  k_ = kv_buffer_.view().Slice(2, 0, width).SplitLast(c.key_heads);
  v_ = kv_buffer_.view().Slice(2, width, 2 * width).SplitLast(c.key_heads);
  d_o_ = HostTensor(dtype, {c.batch, c.query_tokens, c.heads, c.head_dim});
  FillUniform(seed * 16 + 1, -2.0, 2.0, q_);
  FillUniform(seed * 16 + 2, -2.0, 2.0, k_);
  FillUniform(seed * 16 + 3, -1.0, 1.0, v_);
  FillUniform(seed * 16 + 4, -1.0, 1.0, d_o_.view());
  inputs_ = {c.mask,
             c.window,
             c.query_offset,
             1.0 / std::sqrt(static_cast<double>(c.head_dim)),
             q_,
             k_,
             v_,
             {case_.document_starts.data(),
              static_cast<int64_t>(case_.document_starts.size())}};
}

SoftmaxAttentionShape SoftmaxAttentionProblem::shape() const {
  return {
      case_.batch,     case_.query_tokens, case_.key_tokens,       case_.heads,
      case_.key_heads, case_.head_dim,     BytesPerElement(dtype_)};
}

SoftmaxAttentionResults SoftmaxAttentionProblem::Run(SoftmaxAttention& op,
                                                     Stream& stream,
                                                     BackendKind backend,
                                                     int threads) const {
  const SoftmaxAttentionCase& c = case_;
  const auto workspace = [&](bool backward) {
    return HostTensor::Workspace(
        SoftmaxAttentionWorkspaceBytes(backward, shape(), backend, threads));
  };
  HostTensor o(dtype_, {c.batch, c.query_tokens, c.heads, c.head_dim});
  HostTensor lse(AccumulatorOf(dtype_), {c.batch, c.heads, c.query_tokens});
  LONGSPAN_CHECK_OK(op.Forward(inputs_, o.view(), lse.view(),
                               workspace(false).view(), stream));
  HostTensor d_q(dtype_, {c.batch, c.query_tokens, c.heads, c.head_dim});
  HostTensor d_k(dtype_, {c.batch, c.key_tokens, c.key_heads, c.head_dim});
  HostTensor d_v(dtype_, {c.batch, c.key_tokens, c.key_heads, c.head_dim});
  LONGSPAN_CHECK_OK(op.Backward(inputs_, {o.view(), lse.view()}, d_o_.view(),
                                {d_q.view(), d_k.view(), d_v.view()},
                                workspace(true).view(), stream));
  return {o.ToDoubles(), lse.ToDoubles(), d_q.ToDoubles(), d_k.ToDoubles(),
          d_v.ToDoubles()};
}

}  // namespace longspan::kernels

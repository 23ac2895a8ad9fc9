// Depthwise causal convolution. A thread owns a few channels and walks a run of
// tokens with the last kTaps inputs in registers. Slot u of a ring belongs to
// token begin + u modulo kTaps; the walk is unrolled by kTaps, so that slots
// are constants.
//
// Backward, the walk goes on kTaps - 1 tokens behind the run, because the
// inputs of the run act on them; what these tokens add to d_weight belongs to
// the next run.
#include "common/base/status_macros.h"
#include "kernels/api/elementwise_operands.h"
#include "kernels/api/operand_check.h"
#include "kernels/cost/cuda_op_plan.h"
#include "kernels/cost/workspace.h"
#include "kernels/cuda/column_sum.h"
#include "kernels/cuda/element_pack.h"
#include "kernels/cuda/op_launch.h"
#include "kernels/cuda/row_views.h"
#include "kernels/cuda/short_convolution.h"
#include "kernels/cuda/sigmoid.h"

namespace longspan::kernels::cuda {
namespace {

// A view [B, tokens, C].
struct TokenRows {
  void* data = nullptr;  // null: absent
  int64_t batch_stride = 0;
  int64_t token_stride = 0;
};

struct ConvolutionParams {
  TokenRows x;
  TokenRows halo;
  TokenRows y;    // forward
  TokenRows d_y;  // backward, as are all below
  TokenRows d_x;
  TokenRows d_halo;
  float* partial_sums;  // [batch, runs, C, kernel]
  const float* weight;
  const int64_t* document_starts;
  int64_t document_count;
  int64_t tokens;
  int64_t channels;
  CudaConvolutionPlan plan;
  int kernel;
  bool silu;
  bool wide;
};

// What one thread does.
struct ConvolutionItem {
  int64_t run;  // batch * runs + run of the sequence
  int64_t batch;
  int64_t begin;  // tokens of the run
  int64_t end;
  int64_t channel;
  int64_t count;  // channels from `channel` on
};

// Values of the item's channels.
template <int kWidth>
struct Channels {
  float v[kWidth];
};

LONGSPAN_DEVICE ConvolutionItem ItemOf(const ConvolutionParams& p,
                                       int64_t index) {
  ConvolutionItem item;
  item.run = index / p.plan.packs;
  item.channel = (index - item.run * p.plan.packs) * p.plan.width;
  item.count = p.channels - item.channel;
  item.batch = item.run / p.plan.runs;
  item.begin = (item.run - item.batch * p.plan.runs) * p.plan.run_tokens;
  item.end = item.begin + p.plan.run_tokens;
  if (item.end > p.tokens) item.end = p.tokens;
  return item;
}

template <typename T, int kWidth>
LONGSPAN_DEVICE Channels<kWidth> LoadToken(const TokenRows& rows,
                                           const ConvolutionItem& item,
                                           int64_t token, bool wide) {
  const T* from = static_cast<const T*>(rows.data) +
                  item.batch * rows.batch_stride + token * rows.token_stride +
                  item.channel;
  Channels<kWidth> result;
  if constexpr (kWidth == kPackElements) {
    const Pack pack = LoadPack(from, item.count, wide);
    LONGSPAN_UNROLL
    for (int i = 0; i < kWidth; ++i) result.v[i] = pack.v[i];
  } else {
    LONGSPAN_UNROLL
    for (int i = 0; i < kWidth; ++i) {
      result.v[i] = i < item.count ? LoadElement(from + i) : 0.0f;
    }
  }
  return result;
}

template <typename T, int kWidth>
LONGSPAN_DEVICE void StoreToken(const Channels<kWidth>& values,
                                const TokenRows& rows,
                                const ConvolutionItem& item, int64_t token,
                                bool wide) {
  T* to = static_cast<T*>(rows.data) + item.batch * rows.batch_stride +
          token * rows.token_stride + item.channel;
  if constexpr (kWidth == kPackElements) {
    Pack pack;
    LONGSPAN_UNROLL
    for (int i = 0; i < kWidth; ++i) pack.v[i] = values.v[i];
    StorePack(pack, to, item.count, wide);
  } else {
    LONGSPAN_UNROLL
    for (int i = 0; i < kWidth; ++i) {
      if (i < item.count) StoreElement(to + i, values.v[i]);
    }
  }
}

// The input of token `token` in [-(kTaps - 1), tokens): x, the halo or zero.
template <typename T, int kWidth>
LONGSPAN_DEVICE Channels<kWidth> LoadInput(const ConvolutionParams& p,
                                           const ConvolutionItem& item,
                                           int64_t token) {
  if (token >= 0) return LoadToken<T, kWidth>(p.x, item, token, p.wide);
  const int64_t row = token + p.kernel - 1;
  if (row < 0 || p.halo.data == nullptr) return {};
  return LoadToken<T, kWidth>(p.halo, item, row, p.wide);
}

// How far back a token may look: to the kernel's first tap or its document's
// first token.
class DocumentReach {
 public:
  LONGSPAN_DEVICE DocumentReach(const ConvolutionParams& p, int64_t token)
      : starts_(p.document_starts), count_(p.document_count) {
    int64_t end = count_;
    while (next_ < end) {  // the first start at or behind `token`
      const int64_t middle = (next_ + end) / 2;
      if (starts_[middle] < token) {
        next_ = middle + 1;
      } else {
        end = middle;
      }
    }
    longest_ = p.kernel - 1;
    reach_ = longest_;
    if (next_ > 0 && token - 1 - starts_[next_ - 1] < longest_) {
      reach_ = static_cast<int>(token - 1 - starts_[next_ - 1]);
    }
  }

  // For `token` and then for each token after it.
  LONGSPAN_DEVICE int Next(int64_t token) {
    if (next_ < count_ && starts_[next_] == token) {
      ++next_;
      reach_ = 0;
    } else if (reach_ < longest_) {
      ++reach_;
    }
    return reach_;
  }

 private:
  const int64_t* starts_;
  int64_t count_;
  int64_t next_ = 0;
  int longest_;
  int reach_;
};

// weight[c, :] with the newest tap last; kTaps - kernel zeros come first.
template <int kTaps, int kWidth>
LONGSPAN_DEVICE void LoadWeights(const ConvolutionParams& p,
                                 const ConvolutionItem& item,
                                 Channels<kWidth> (&weight)[kTaps]) {
  LONGSPAN_UNROLL
  for (int age = 0; age < kTaps; ++age) {
    LONGSPAN_UNROLL
    for (int i = 0; i < kWidth; ++i) {
      const int64_t at = (item.channel + i) * p.kernel + (p.kernel - 1 - age);
      weight[age].v[i] = age < p.kernel && i < item.count ? p.weight[at] : 0.0f;
    }
  }
}

// The slot of the token that lies `age` before the one of slot `u`.
template <int kTaps>
LONGSPAN_DEVICE constexpr int SlotOf(int u, int age) {
  return (u - age + kTaps) % kTaps;
}

// The convolution before its activation, for the token of slot `u`.
template <int kTaps, int kWidth>
LONGSPAN_DEVICE Channels<kWidth> PreActivation(
    const Channels<kWidth> (&weight)[kTaps],
    const Channels<kWidth> (&ring)[kTaps], int u, int reach) {
  Channels<kWidth> sum = {};
  LONGSPAN_UNROLL
  for (int age = 0; age < kTaps; ++age) {
    if (age > reach) continue;
    LONGSPAN_UNROLL
    for (int i = 0; i < kWidth; ++i) {
      sum.v[i] += weight[age].v[i] * ring[SlotOf<kTaps>(u, age)].v[i];
    }
  }
  return sum;
}

template <typename T, int kTaps, int kWidth>
LONGSPAN_DEVICE void LoadRing(const ConvolutionParams& p,
                              const ConvolutionItem& item,
                              Channels<kWidth> (&ring)[kTaps]) {
  LONGSPAN_UNROLL
  for (int age = 1; age < kTaps; ++age) {
    ring[SlotOf<kTaps>(0, age)] =
        LoadInput<T, kWidth>(p, item, item.begin - age);
  }
}

template <typename T, int kTaps, int kWidth>
LONGSPAN_KERNEL(kCudaThreads, 2)
ConvolutionKernel(const ConvolutionParams p) {
  const int64_t index = BlockIndex() * kCudaThreads + ThreadIndex();
  if (index >= p.plan.items) return;
  const ConvolutionItem item = ItemOf(p, index);
  Channels<kWidth> weight[kTaps];
  Channels<kWidth> ring[kTaps];
  LoadWeights(p, item, weight);
  LoadRing<T>(p, item, ring);
  DocumentReach documents(p, item.begin);
  for (int64_t first = item.begin; first < item.end; first += kTaps) {
    LONGSPAN_UNROLL
    for (int u = 0; u < kTaps; ++u) {
      const int64_t token = first + u;
      if (token >= item.end) break;
      ring[u] = LoadToken<T, kWidth>(p.x, item, token, p.wide);
      Channels<kWidth> y =
          PreActivation(weight, ring, u, documents.Next(token));
      if (p.silu) {
        LONGSPAN_UNROLL
        for (int i = 0; i < kWidth; ++i) y.v[i] = Silu(y.v[i]);
      }
      StoreToken<T>(y, p.y, item, token, p.wide);
    }
  }
}

// d_y through the activation; zero behind the sequence.
template <typename T, int kTaps, int kWidth>
LONGSPAN_DEVICE Channels<kWidth> LoadGradient(
    const ConvolutionParams& p, const ConvolutionItem& item, int64_t token,
    const Channels<kWidth> (&weight)[kTaps],
    const Channels<kWidth> (&ring)[kTaps], int u, int reach) {
  Channels<kWidth> d_z = LoadToken<T, kWidth>(p.d_y, item, token, p.wide);
  if (!p.silu) return d_z;
  const Channels<kWidth> z = PreActivation(weight, ring, u, reach);
  LONGSPAN_UNROLL
  for (int i = 0; i < kWidth; ++i) d_z.v[i] *= SiluDerivative(z.v[i]);
  return d_z;
}

// Input `token` has got all of its gradient. The halo's is the first run's,
// also where the runs are shorter than the taps.
template <typename T, int kWidth>
LONGSPAN_DEVICE void StoreInputGradient(const ConvolutionParams& p,
                                        const ConvolutionItem& item,
                                        int64_t token,
                                        const Channels<kWidth>& gradient) {
  if (token >= item.begin && token < item.end) {
    StoreToken<T>(gradient, p.d_x, item, token, p.wide);
  } else if (item.begin == 0 && token < 0 && token + p.kernel - 1 >= 0 &&
             p.d_halo.data != nullptr) {
    StoreToken<T>(gradient, p.d_halo, item, token + p.kernel - 1, p.wide);
  }
}

template <int kTaps, int kWidth>
LONGSPAN_DEVICE void StorePartialSums(const ConvolutionParams& p,
                                      const ConvolutionItem& item,
                                      const Channels<kWidth> (&sums)[kTaps]) {
  float* to = p.partial_sums + item.run * p.channels * p.kernel;
  LONGSPAN_UNROLL
  for (int age = 0; age < kTaps; ++age) {
    if (age >= p.kernel) continue;
    LONGSPAN_UNROLL
    for (int i = 0; i < kWidth; ++i) {
      if (i >= item.count) continue;
      to[(item.channel + i) * p.kernel + p.kernel - 1 - age] = sums[age].v[i];
    }
  }
}

template <typename T, int kTaps, int kWidth>
LONGSPAN_KERNEL(kCudaThreads, 1)
ConvolutionBackwardKernel(const ConvolutionParams p) {
  const int64_t index = BlockIndex() * kCudaThreads + ThreadIndex();
  if (index >= p.plan.items) return;
  const ConvolutionItem item = ItemOf(p, index);
  Channels<kWidth> weight[kTaps];
  Channels<kWidth> ring[kTaps];
  Channels<kWidth> gradients[kTaps] = {};  // of the inputs in the ring
  Channels<kWidth> sums[kTaps] = {};       // of d_weight, by age
  LoadWeights(p, item, weight);
  LoadRing<T>(p, item, ring);
  DocumentReach documents(p, item.begin);
  const int64_t last = item.end + kTaps - 1;
  for (int64_t first = item.begin; first < last; first += kTaps) {
    LONGSPAN_UNROLL
    for (int u = 0; u < kTaps; ++u) {
      const int64_t token = first + u;
      if (token >= last) break;
      gradients[u] = {};
      if (token < p.tokens) {
        ring[u] = LoadToken<T, kWidth>(p.x, item, token, p.wide);
        const int reach = documents.Next(token);
        const Channels<kWidth> d_z =
            LoadGradient<T>(p, item, token, weight, ring, u, reach);
        LONGSPAN_UNROLL
        for (int age = 0; age < kTaps; ++age) {
          if (age > reach) continue;
          constexpr int kRing = kTaps;
          const int slot = SlotOf<kRing>(u, age);
          LONGSPAN_UNROLL
          for (int i = 0; i < kWidth; ++i) {
            gradients[slot].v[i] += weight[age].v[i] * d_z.v[i];
            if (token < item.end) sums[age].v[i] += d_z.v[i] * ring[slot].v[i];
          }
        }
      }
      StoreInputGradient<T>(p, item, token - (kTaps - 1),
                            gradients[SlotOf<kTaps>(u, kTaps - 1)]);
    }
  }
  StorePartialSums(p, item, sums);
}

TokenRows RowsOfView(ConstTensorView view) {
  if (view.is_null()) return {};
  return {const_cast<void*>(view.data()), view.stride(0), view.stride(1)};
}

bool AllAllowVectors(std::initializer_list<ConstTensorView> views) {
  bool allowed = true;
  for (const ConstTensorView& view : views) {
    allowed &= view.is_null() || AllowsVectors(view);
  }
  return allowed;
}

ConvolutionParams ParamsOf(const ShortConvolutionInputs& inputs) {
  const ConstTensorView& x = inputs.x;
  ConvolutionParams params = {};
  params.x = RowsOfView(x);
  params.halo = RowsOfView(inputs.halo);
  params.weight = inputs.weight.data_as<float>();
  params.document_starts = inputs.documents.device_starts;
  params.document_count = inputs.documents.count;
  params.tokens = x.size(1);
  params.channels = x.size(2);
  params.kernel = static_cast<int>(inputs.weight.size(1));
  params.silu = inputs.silu;
  params.plan =
      PlanCudaConvolution(x.size(0), x.size(1), x.size(2), params.kernel);
  return params;
}

template <typename T>
absl::Status RunForward(const ConvolutionParams& params, Stream& stream) {
  const LaunchShape shape = {CudaBlocks(params.plan.items), kCudaThreads, 0};
  return params.plan.taps == 4
             ? Launch("ShortConvolution", ConvolutionKernel<T, 4, 8>, shape,
                      stream, params)
             : Launch("ShortConvolution", ConvolutionKernel<T, 8, 2>, shape,
                      stream, params);
}

template <typename T>
absl::Status RunBackward(const ConvolutionParams& params, Stream& stream) {
  const LaunchShape shape = {CudaBlocks(params.plan.items), kCudaThreads, 0};
  const char* op = "ShortConvolutionBackward";
  return params.plan.taps == 4 ? Launch(op, ConvolutionBackwardKernel<T, 4, 8>,
                                        shape, stream, params)
                               : Launch(op, ConvolutionBackwardKernel<T, 8, 2>,
                                        shape, stream, params);
}

absl::Status RefuseBias(const ShortConvolutionInputs& inputs) {
  if (inputs.bias.is_null()) return absl::OkStatus();
  return absl::UnimplementedError(
      "the backend cuda has no bias of ShortConvolution; the backend cpu has "
      "it");
}

}  // namespace

absl::Status CudaShortConvolution::Forward(const ShortConvolutionInputs& inputs,
                                           TensorView y, Stream& stream) {
  RETURN_IF_ERROR(CheckShortConvolution(inputs, y, kCudaOperands));
  RETURN_IF_ERROR(RefuseBias(inputs));
  ConvolutionParams params = ParamsOf(inputs);
  params.y = RowsOfView(y);
  params.wide = AllAllowVectors({inputs.x, inputs.halo, y});
  return y.dtype() == DType::kBF16 ? RunForward<Bf16>(params, stream)
                                   : RunForward<float>(params, stream);
}

absl::Status CudaShortConvolution::Backward(
    const ShortConvolutionInputs& inputs, ConstTensorView d_y,
    const ShortConvolutionGradients& gradients, TensorView workspace,
    Stream& stream) {
  const char* op = "ShortConvolutionBackward";
  RETURN_IF_ERROR(
      CheckShortConvolutionBackward(inputs, d_y, gradients, kCudaOperands));
  RETURN_IF_ERROR(RefuseBias(inputs));
  ConvolutionParams params = ParamsOf(inputs);
  const int64_t batch = inputs.x.size(0);
  const int64_t bytes = ShortConvolutionBackwardWorkspaceBytes(
      batch, params.tokens, params.channels, params.kernel,
      BytesPerElement(d_y.dtype()), BackendKind::kCuda, 1);
  OperandCheck check(op, kCudaOperands);
  RETURN_IF_ERROR(check.Workspace(workspace, bytes).status());
  params.d_y = RowsOfView(d_y);
  params.d_x = RowsOfView(gradients.d_x);
  params.d_halo = RowsOfView(gradients.d_halo);
  params.partial_sums = static_cast<float*>(workspace.data());
  params.wide = AllAllowVectors(
      {inputs.x, inputs.halo, d_y, gradients.d_x, gradients.d_halo});
  RETURN_IF_ERROR(d_y.dtype() == DType::kBF16
                      ? RunBackward<Bf16>(params, stream)
                      : RunBackward<float>(params, stream));
  return AddColumnSums(op, params.partial_sums, batch * params.plan.runs,
                       params.channels * params.kernel,
                       gradients.d_weight.data_as<float>(), stream);
}

}  // namespace longspan::kernels::cuda

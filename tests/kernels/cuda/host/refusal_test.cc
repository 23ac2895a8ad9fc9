// What the CUDA backend does not do, op by op: one sentence with the value, the
// limit and what to do instead, before anything is launched. What no backend
// does is tests/kernels/ops/operand_test.cc's.
#include <functional>
#include <initializer_list>
#include <ostream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "kernels/cuda/gemm.h"
#include "tests/kernels/cuda/host/host_test.h"

namespace longspan::kernels::cuda {
namespace {

using ::testing::HasSubstr;
using Shape = std::initializer_list<int64_t>;

// Views of any size: nobody looks at what they point to.
TensorView View(DType dtype, Shape shape) {
  static int64_t memory[8] = {};
  return {memory, dtype, shape};
}
TensorView F32(Shape shape) { return View(DType::kF32, shape); }
TensorView F64(Shape shape) { return View(DType::kF64, shape); }
TensorView Bf16(Shape shape) { return View(DType::kBF16, shape); }
TensorView I32(Shape shape) { return View(DType::kI32, shape); }
TensorView I64(Shape shape) { return View(DType::kI64, shape); }

struct Refusal {
  std::string name;
  std::string sentence;
  std::function<absl::Status(Backend&, Stream&)> call;
};
void PrintTo(const Refusal& refusal, std::ostream* out) {
  *out << refusal.name;
}

// ---- linear attention ------------------------------------------------------

// [B, T, H, D] for all of q, k and v.
LinearAttentionInputs Linear(Transition transition, Shape shape,
                             int64_t key_dim) {
  LinearAttentionInputs inputs;
  inputs.transition = transition;
  inputs.q = inputs.k = inputs.v = Bf16(shape);
  const ConstTensorView& q = inputs.q;
  const int64_t b = q.size(0), t = q.size(1), h = q.size(2);
  inputs.log_gate = transition == Transition::kVector ? F32({b, t, h, key_dim})
                                                      : F32({b, t, h});
  inputs.log_decay = F32({h});
  inputs.beta = F32({b, t, h});
  return inputs;
}

absl::Status Outputs(Backend& cuda, Stream& stream,
                     const LinearAttentionInputs& inputs) {
  const ConstTensorView& v = inputs.v;
  return cuda.linear_attention().Outputs(
      inputs, {}, ChunkTerms::kAll,
      {View(v.dtype(), {v.size(0), v.size(1), v.size(2), v.size(3)}), {}}, {},
      stream);
}

LinearAttentionInputs WithDocuments(LinearAttentionInputs inputs) {
  static constexpr int64_t kStart = 1;
  inputs.documents = {&kStart, 1, nullptr};
  return inputs;
}

std::vector<Refusal> LinearTransitions() {
  return {
      {"OutputsVectorGates",
       "Outputs: the cuda backend has no kernels for vector gates; the cpu "
       "backend has them",
       [](Backend& cuda, Stream& stream) {
         return Outputs(cuda, stream,
                        Linear(Transition::kVector, {1, 4, 1, 8}, 8));
       }},
      {"OutputsDeltaRule",
       "Outputs: the cuda backend has no kernels for the delta rule; the cpu "
       "backend has them",
       [](Backend& cuda, Stream& stream) {
         return Outputs(cuda, stream,
                        Linear(Transition::kDense, {1, 4, 1, 8}, 8));
       }},
      {"SummariseVectorGates",
       "Summarise: the cuda backend has no kernels for vector gates; the cpu "
       "backend has them",
       [](Backend& cuda, Stream& stream) {
         return cuda.linear_attention().Summarise(
             Linear(Transition::kVector, {1, 4, 1, 8}, 8),
             {F32({1, 1, 8, 8}), F32({1, 1, 8}), {}}, {}, stream);
       }},
      {"SummariseBackwardDeltaRule",
       "SummariseBackward: the cuda backend has no kernels for the delta rule; "
       "the cpu backend has them",
       [](Backend& cuda, Stream& stream) {
         return cuda.linear_attention().SummariseBackward(
             Linear(Transition::kDense, {1, 4, 1, 8}, 8), Bf16({1, 4, 1, 8}),
             F32({1, 1, 8, 8}), {}, stream);
       }},
      {"GradientsVectorGates",
       "Gradients: the cuda backend has no kernels for vector gates; the cpu "
       "backend has them",
       [](Backend& cuda, Stream& stream) {
         const TensorView x = Bf16({1, 4, 1, 8});
         return cuda.linear_attention().Gradients(
             Linear(Transition::kVector, {1, 4, 1, 8}, 8), {}, {x, {}},
             ChunkTerms::kAll, {x, x, x, F32({1, 4, 1, 8})}, {}, stream);
       }},
  };
}

std::vector<Refusal> LinearStateRefusals() {
  return {
      {"FoldVectorGates",
       "FoldSummaries: the cuda backend has no kernels for vector gates; the "
       "cpu backend has them",
       [](Backend& cuda, Stream& stream) {
         return cuda.linear_attention().FoldSummaries(
             F32({2, 1, 1, 8, 8}), F32({2, 1, 1, 8}), {}, false,
             F32({1, 1, 8, 8}), stream);
       }},
      {"FoldDeltaRule",
       "FoldSummaries: the cuda backend has no kernels for the delta rule; "
       "the cpu backend has them",
       [](Backend& cuda, Stream& stream) {
         return cuda.linear_attention().FoldSummaries(
             F32({2, 1, 1, 8, 8}), F32({2, 1, 1, 8, 8}), {}, false,
             F32({1, 1, 8, 8}), stream);
       }},
      {"DecodeDeltaRule",
       "Decode: the cuda backend has no kernels for the delta rule; the cpu "
       "backend has them",
       [](Backend& cuda, Stream& stream) {
         return cuda.linear_attention().Decode(
             Linear(Transition::kDense, {1, 1, 1, 8}, 8), I32({1}),
             F32({2, 1, 8, 8}), Bf16({1, 1, 1, 8}), stream);
       }},
  };
}

std::vector<Refusal> LinearLimits() {
  return {
      {"OutputsHeadSize",
       "Outputs: head sizes 264 and 264, the cuda backend has up to 256; use "
       "the cpu backend or more heads of a smaller size",
       [](Backend& cuda, Stream& stream) {
         return Outputs(cuda, stream,
                        Linear(Transition::kIdentity, {1, 4, 1, 264}, 264));
       }},
      {"DecodeHeadSize",
       "Decode: head sizes 264 and 264, the cuda backend has up to 256; use "
       "the cpu backend or more heads of a smaller size",
       [](Backend& cuda, Stream& stream) {
         return cuda.linear_attention().Decode(
             Linear(Transition::kIdentity, {1, 1, 1, 264}, 264), I32({1}),
             F32({2, 1, 264, 264}), Bf16({1, 1, 1, 264}), stream);
       }},
      {"OutputsF64", "Outputs: k is f64[1, 4, 1, 8], needs type f32 or bf16",
       [](Backend& cuda, Stream& stream) {
         LinearAttentionInputs inputs;
         inputs.q = inputs.k = inputs.v = F64({1, 4, 1, 8});
         return Outputs(cuda, stream, inputs);
       }},
      {"OutputsWorkspace", "Outputs: workspace is ",
       [](Backend& cuda, Stream& stream) {
         return Outputs(cuda, stream,
                        Linear(Transition::kIdentity, {1, 4, 1, 8}, 8));
       }},
      {"OutputsDocuments",
       "Outputs: the document starts are not in device memory",
       [](Backend& cuda, Stream& stream) {
         return Outputs(
             cuda, stream,
             WithDocuments(Linear(Transition::kIdentity, {1, 4, 1, 8}, 8)));
       }},
      {"DecodeGrid",
       "Decode: needs 6000000000 blocks, a grid has up to 2147483647; split "
       "the call by its batch or heads",
       [](Backend& cuda, Stream& stream) {
         constexpr int64_t kBatch = 3000000000;
         return cuda.linear_attention().Decode(
             Linear(Transition::kIdentity, {kBatch, 1, 1, 8}, 8), I32({kBatch}),
             F32({2, 1, 8, 8}), Bf16({kBatch, 1, 1, 8}), stream);
       }},
  };
}

// ---- softmax attention -----------------------------------------------------

absl::Status Softmax(Backend& cuda, Stream& stream, TensorView q, TensorView k,
                     double scale) {
  SoftmaxAttentionInputs inputs;
  inputs.scale = scale;
  inputs.q = q;
  inputs.k = inputs.v = k;
  return cuda.softmax_attention().Forward(
      inputs, q, F32({q.size(0), q.size(2), q.size(1)}), {}, stream);
}

std::vector<Refusal> SoftmaxRefusals() {
  return {
      {"SoftmaxHeadSize",
       "SoftmaxAttention on cuda: head dimension 264 is beyond 256; the cpu "
       "backend has up to 512",
       [](Backend& cuda, Stream& stream) {
         const TensorView x = Bf16({1, 4, 1, 264});
         return Softmax(cuda, stream, x, x, 1.0);
       }},
      {"SoftmaxScale",
       "SoftmaxAttention on cuda: scale -0.5 is not a positive number; a "
       "negative one belongs into the queries",
       [](Backend& cuda, Stream& stream) {
         const TensorView x = Bf16({1, 4, 1, 8});
         return Softmax(cuda, stream, x, x, -0.5);
       }},
      {"SoftmaxKeys",
       "SoftmaxAttention on cuda: 2147483648 rows are more than 2147482624; "
       "split the queries or the keys",
       [](Backend& cuda, Stream& stream) {
         return Softmax(cuda, stream, Bf16({1, 1, 1, 8}),
                        Bf16({1, int64_t{1} << 31, 1, 8}), 1.0);
       }},
      {"SoftmaxGrid",
       "SoftmaxAttention: needs 3000000000 blocks, a grid has up to "
       "2147483647; split the call by its batch or heads",
       [](Backend& cuda, Stream& stream) {
         const TensorView x = Bf16({3000000000, 1, 1, 8});
         return Softmax(cuda, stream, x, x, 1.0);
       }},
      {"SoftmaxF64",
       "SoftmaxAttention: q is f64[1, 4, 1, 8], needs type f32 or bf16",
       [](Backend& cuda, Stream& stream) {
         const TensorView x = F64({1, 4, 1, 8});
         return Softmax(cuda, stream, x, x, 1.0);
       }},
      {"SoftmaxBackwardHeadSize",
       "SoftmaxAttentionBackward on cuda: head dimension 264 is beyond 256; "
       "the cpu backend has up to 512",
       [](Backend& cuda, Stream& stream) {
         const TensorView x = Bf16({1, 4, 1, 264});
         SoftmaxAttentionInputs inputs;
         inputs.q = inputs.k = inputs.v = x;
         return cuda.softmax_attention().Backward(inputs, {x, F32({1, 1, 4})},
                                                  x, {x, x, x}, {}, stream);
       }},
  };
}

// ---- the others ------------------------------------------------------------

std::vector<Refusal> DenseRefusals() {
  return {
      {"MatMulTypes",
       "cuda: MatMul of f32 and f32 to bf16; it does bf16 x bf16 to bf16 or "
       "f32, and f32 x f32 to f32",
       [](Backend&, Stream&) {
         return CheckGemm(F32({2, 2}), F32({2, 2}), Bf16({2, 2}), {});
       }},
      {"MatMulNoTerms",
       "cuda: MatMul of bf16[2, 0] and bf16[0, 3]: the inner size is 0, needs "
       "at least 1; clear the result instead",
       [](Backend& cuda, Stream& stream) {
         return cuda.dense().MatMul(Bf16({2, 0}), Bf16({0, 3}), Bf16({2, 3}),
                                    {}, stream);
       }},
      {"EmbedNoRows",
       "Embed: table bf16[0, 4] has no rows for 3 ids, needs at least 1",
       [](Backend& cuda, Stream& stream) {
         return cuda.dense().Embed(I32({3}), Bf16({0, 4}), Bf16({3, 4}),
                                   stream);
       }},
      {"EmbedBackwardNoRows",
       "EmbedBackward: table f32[0, 4] has no rows for 3 ids, needs at least 1",
       [](Backend& cuda, Stream& stream) {
         return cuda.dense().EmbedBackward(I32({3}), Bf16({3, 4}), F32({0, 4}),
                                           stream);
       }},
      {"CrossEntropyF64",
       "CrossEntropy: hidden is f64[2, 4], needs type f32 or bf16",
       [](Backend& cuda, Stream& stream) {
         return cuda.cross_entropy().Forward(
             {F64({2, 4}), F64({9, 4}), I32({2}), {}}, {F64({1}), {}}, {},
             stream);
       }},
  };
}

std::vector<Refusal> NormRefusals() {
  return {
      {"RmsNormSize",
       "RmsNorm: rows of 8193 elements, the cuda backend has up to 8192; use "
       "the cpu backend or a smaller hidden size",
       [](Backend& cuda, Stream& stream) {
         const TensorView x = Bf16({1, 8193});
         return cuda.elementwise().RmsNorm({x, F32({8193}), {}, 1e-6}, x,
                                           F32({1}), stream);
       }},
      {"RmsNormBackwardSize",
       "RmsNormBackward: rows of 8193 elements, the cuda backend has up to "
       "8192; use the cpu backend or a smaller hidden size",
       [](Backend& cuda, Stream& stream) {
         const TensorView x = Bf16({1, 8193});
         const TensorView weight = F32({8193});
         return cuda.elementwise().RmsNormBackward(
             {x, weight, {}, 1e-6}, F32({1}), x, {x, weight, {}, false}, {},
             stream);
       }},
      {"RmsNormGrid",
       "RmsNorm: needs 4294967296 blocks, a grid has up to 2147483647; split "
       "the call by its rows",
       [](Backend& cuda, Stream& stream) {
         constexpr int64_t kRows = int64_t{1} << 32;
         const TensorView x = Bf16({kRows, 4096});
         return cuda.elementwise().RmsNorm({x, F32({4096}), {}, 1e-6}, x,
                                           F32({kRows}), stream);
       }},
  };
}

std::vector<Refusal> RowRefusals() {
  return {
      {"SiluGrid",
       "Silu: needs 4294967296 blocks, a grid has up to 2147483647; split the "
       "call by its rows",
       [](Backend& cuda, Stream& stream) {
         const TensorView x = Bf16({int64_t{1} << 32, 2048});
         return cuda.elementwise().Silu(x, x, stream);
       }},
      {"SampleGrid",
       "Sample: needs 4294967296 blocks, a grid has up to 2147483647; split "
       "the call by its rows",
       [](Backend& cuda, Stream& stream) {
         constexpr int64_t kTexts = int64_t{1} << 32;
         return cuda.sampling().Sample(
             {F32({kTexts, 4}), F64({kTexts}), I32({kTexts}), F64({kTexts}),
              F64({kTexts})},
             {I32({kTexts}), F64({kTexts})}, stream);
       }},
      {"SampleVocabulary",
       "Sample: a vocabulary of 1048577, needs 1 to 1048576",
       [](Backend& cuda, Stream& stream) {
         return cuda.sampling().Sample(
             {F32({1, 1048577}), F64({1}), I32({1}), F64({1}), F64({1})},
             {I32({1}), F64({1})}, stream);
       }},
      {"RotaryHeadSize",
       "Rotary: head size 514, the cuda backend has up to 512; use the cpu "
       "backend or a smaller head size",
       [](Backend& cuda, Stream& stream) {
         const TensorView x = Bf16({1, 1, 1, 514});
         return cuda.elementwise().Rotary(x, I64({1}), 1e4, false, x, stream);
       }},
  };
}

std::vector<Refusal> ParameterRefusals() {
  return {
      {"ConvolutionKernel", "ShortConvolution: kernel size 9, needs 2 to 8",
       [](Backend& cuda, Stream& stream) {
         const TensorView x = Bf16({1, 4, 8});
         return cuda.short_convolution().Forward(
             {x, F32({8, 9}), {}, false, {}}, x, stream);
       }},
      {"ConvolutionDocuments",
       "ShortConvolution: the document starts are not in device memory",
       [](Backend& cuda, Stream& stream) {
         static constexpr int64_t kStart = 1;
         const TensorView x = Bf16({1, 4, 8});
         return cuda.short_convolution().Forward(
             {x, F32({8, 4}), {}, false, {&kStart, 1, nullptr}}, x, stream);
       }},
      {"AdamWF64", "AdamW: parameter is f64[4], needs type f32",
       [](Backend& cuda, Stream& stream) {
         const TensorView x = F64({4});
         const AdamWTensor tensor = {x, x, x, x, 0.0, {}};
         return cuda.optimizer().AdamW(
             {&tensor, 1}, {F32({1}), F32({1}), I64({1})}, {}, stream);
       }},
      {"SetZeroIntegers", "SetZero: operand 0 is i32[4], needs type ",
       [](Backend& cuda, Stream& stream) {
         return cuda.elementwise().SetZero(I32({4}), stream);
       }},
  };
}

std::vector<Refusal> FeatureMapRefusals() {
  return {
      {"FeatureMap",
       "the backend cuda has no feature map relu; the backend cpu has it",
       [](Backend& cuda, Stream& stream) {
         const TensorView x = Bf16({4, 1, 8});
         return cuda.feature_maps().Map({FeatureMapKind::kRelu, x}, x, stream);
       }},
      {"FeatureMapBackward",
       "the backend cuda has no feature map taylor; the backend cpu has it",
       [](Backend& cuda, Stream& stream) {
         const TensorView x = Bf16({4, 1, 8});
         return cuda.feature_maps().MapBackward({FeatureMapKind::kTaylor, x}, x,
                                                {}, {}, stream);
       }},
      {"ConvolutionBias",
       "the backend cuda has no bias of ShortConvolution; the backend cpu has "
       "it",
       [](Backend& cuda, Stream& stream) {
         const TensorView x = Bf16({1, 4, 8});
         return cuda.short_convolution().Forward(
             {x, F32({8, 4}), {}, false, {}, F32({8})}, x, stream);
       }},
      {"Normaliser",
       "the backend cuda has no normaliser of linear attention; the backend "
       "cpu has it",
       [](Backend& cuda, Stream& stream) {
         return cuda.feature_maps().AppendOnes(Bf16({4, 1, 8}), Bf16({4, 1, 9}),
                                               stream);
       }},
  };
}

std::vector<Refusal> TokenGateRefusals() {
  return {
      {"Sigmoid", "the backend cuda has no Sigmoid; the backend cpu has it",
       [](Backend& cuda, Stream& stream) {
         return cuda.token_gates().Sigmoid(Bf16({4, 8}), 1.0, F32({4, 8}),
                                           stream);
       }},
      {"SoftplusGateBackward",
       "the backend cuda has no SoftplusGate; the backend cpu has it",
       [](Backend& cuda, Stream& stream) {
         return cuda.token_gates().SoftplusGateBackward({}, F32({4, 8}), {},
                                                        stream);
       }},
  };
}

class CudaRefusalTest : public HostTest,
                        public testing::WithParamInterface<Refusal> {};

TEST_P(CudaRefusalTest, IsOneSentence) {
  const absl::Status status = GetParam().call(*backend_, *stream_);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().sentence));
}

std::string NameOf(const testing::TestParamInfo<Refusal>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(LinearTransitions, CudaRefusalTest,
                         testing::ValuesIn(LinearTransitions()), NameOf);
INSTANTIATE_TEST_SUITE_P(LinearStates, CudaRefusalTest,
                         testing::ValuesIn(LinearStateRefusals()), NameOf);
INSTANTIATE_TEST_SUITE_P(LinearLimits, CudaRefusalTest,
                         testing::ValuesIn(LinearLimits()), NameOf);
INSTANTIATE_TEST_SUITE_P(Softmax, CudaRefusalTest,
                         testing::ValuesIn(SoftmaxRefusals()), NameOf);
INSTANTIATE_TEST_SUITE_P(Dense, CudaRefusalTest,
                         testing::ValuesIn(DenseRefusals()), NameOf);
INSTANTIATE_TEST_SUITE_P(Norm, CudaRefusalTest,
                         testing::ValuesIn(NormRefusals()), NameOf);
INSTANTIATE_TEST_SUITE_P(Rows, CudaRefusalTest,
                         testing::ValuesIn(RowRefusals()), NameOf);
INSTANTIATE_TEST_SUITE_P(Parameters, CudaRefusalTest,
                         testing::ValuesIn(ParameterRefusals()), NameOf);
INSTANTIATE_TEST_SUITE_P(TokenGates, CudaRefusalTest,
                         testing::ValuesIn(TokenGateRefusals()), NameOf);
INSTANTIATE_TEST_SUITE_P(FeatureMaps, CudaRefusalTest,
                         testing::ValuesIn(FeatureMapRefusals()), NameOf);

// Nothing to do is no error, and nothing to plan.
class CudaEmptyTest : public HostTest {};

TEST_F(CudaEmptyTest, NoHeadsAndNoBatch) {
  for (const Shape& shape : {Shape{0, 4, 2, 8}, Shape{1, 4, 0, 8}}) {
    const LinearAttentionInputs linear =
        Linear(Transition::kIdentity, shape, 8);
    EXPECT_EQ(Outputs(*backend_, *stream_, linear), absl::OkStatus());
  }
  const TensorView none = Bf16({0, 4, 2, 8});
  EXPECT_EQ(Softmax(*backend_, *stream_, none, none, 1.0), absl::OkStatus());
  EXPECT_EQ(
      Softmax(*backend_, *stream_, Bf16({1, 4, 0, 8}), Bf16({1, 4, 2, 8}), 1.0),
      absl::OkStatus());
}

}  // namespace
}  // namespace longspan::kernels::cuda

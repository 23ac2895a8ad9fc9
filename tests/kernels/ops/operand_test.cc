// Operands that ops must refuse: one clear Status each, the same from every
// backend, and nothing written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/kernels/ops/op_case.h"

namespace longspan::kernels {
namespace {

using ::testing::HasSubstr;

// Buffers of ample size for views of any small shape.
struct Memory {
  std::vector<float> floats = std::vector<float>(4096, 1.0f);
  std::vector<double> doubles = std::vector<double>(64, 1.0);
  std::vector<int32_t> ids = std::vector<int32_t>(64, 0);
  std::vector<int64_t> positions = std::vector<int64_t>(64, 1);

  TensorView F32(std::initializer_list<int64_t> shape) {
    return {floats.data(), DType::kF32, shape};
  }
  TensorView F64(std::initializer_list<int64_t> shape) {
    return {doubles.data(), DType::kF64, shape};
  }
  TensorView I32(std::initializer_list<int64_t> shape) {
    return {ids.data(), DType::kI32, shape};
  }
  TensorView I64(std::initializer_list<int64_t> shape) {
    return {positions.data(), DType::kI64, shape};
  }
};

struct BadCall {
  std::string name;
  std::string problem;
  std::function<absl::Status(OpSet&, Memory&)> call;
};

// Of two texts.
absl::Status Sample(OpSet& ops, Memory& m, ConstTensorView logits) {
  return ops.sampling->Sample(
      {logits, m.F64({2}), m.I32({2}), m.F64({2}), m.F64({2})},
      {m.I32({2}), m.F64({2})}, *ops.stream);
}

void PrintTo(const BadCall& call, std::ostream* out) { *out << call.name; }

std::vector<BadCall> DenseCalls() {
  return {
      {"MatMulInner", "MatMul: b is f32[5, 3], needs f32[4, 3]",
       [](OpSet& ops, Memory& m) {
         return ops.dense->MatMul(m.F32({2, 4}), m.F32({5, 3}), m.F32({2, 3}),
                                  {}, *ops.stream);
       }},
      {"MatMulOut", "MatMul: c is f32[2, 4], needs f32[2, 3]",
       [](OpSet& ops, Memory& m) {
         return ops.dense->MatMul(m.F32({2, 4}), m.F32({3, 4}), m.F32({2, 4}),
                                  {.transpose_b = true}, *ops.stream);
       }},
      {"MatMulTypes", "MatMul: b is f64[4, 3], needs type f32",
       [](OpSet& ops, Memory& m) {
         return ops.dense->MatMul(m.F32({2, 4}), m.F64({4, 3}), m.F32({2, 3}),
                                  {}, *ops.stream);
       }},
      {"MatMulRank", "MatMul: a is f32[2, 4, 1], needs rank 2",
       [](OpSet& ops, Memory& m) {
         return ops.dense->MatMul(m.F32({2, 4, 1}), m.F32({4, 3}),
                                  m.F32({2, 3}), {}, *ops.stream);
       }},
      {"MatMulMissing", "MatMul: a is missing",
       [](OpSet& ops, Memory& m) {
         return ops.dense->MatMul({}, m.F32({4, 3}), m.F32({2, 3}), {},
                                  *ops.stream);
       }},
      {"EmbedId", "Embed: ids[2] is 7, outside the vocabulary [0, 5)",
       [](OpSet& ops, Memory& m) {
         m.ids[2] = 7;
         return ops.dense->Embed(m.I32({3}), m.F32({5, 4}), m.F32({3, 4}),
                                 *ops.stream);
       }},
      {"EmbedNegativeId", "Embed: ids[0] is -1",
       [](OpSet& ops, Memory& m) {
         m.ids[0] = -1;
         return ops.dense->EmbedBackward(m.I32({3}), m.F32({3, 4}),
                                         m.F32({5, 4}), *ops.stream);
       }},
      {"EmbedIdType", "Embed: ids is i64[3], needs type i32",
       [](OpSet& ops, Memory& m) {
         return ops.dense->Embed(m.I64({3}), m.F32({5, 4}), m.F32({3, 4}),
                                 *ops.stream);
       }},
      {"CrossEntropyTarget",
       "CrossEntropy: targets[1] is 9, outside the vocabulary [0, 9)",
       [](OpSet& ops, Memory& m) {
         m.ids[1] = 9;
         return ops.cross_entropy->Forward(
             {m.F32({3, 4}), m.F32({9, 4}), m.I32({3}), {}}, {m.F64({1}), {}},
             m.F32({2048}), *ops.stream);
       }},
      {"CrossEntropySizes", "CrossEntropy: weight is f32[9, 5], needs",
       [](OpSet& ops, Memory& m) {
         return ops.cross_entropy->Forward(
             {m.F32({3, 4}), m.F32({9, 5}), m.I32({3}), {}}, {m.F64({1}), {}},
             m.F32({2048}), *ops.stream);
       }},
      {"CrossEntropyLossType", "CrossEntropy: loss is f32[1], needs type f64",
       [](OpSet& ops, Memory& m) {
         return ops.cross_entropy->Forward(
             {m.F32({3, 4}), m.F32({9, 4}), m.I32({3}), {}}, {m.F32({1}), {}},
             m.F32({2048}), *ops.stream);
       }},
  };
}

std::vector<BadCall> ElementwiseCalls() {
  return {
      {"RmsNormWeight", "RmsNorm: weight is f32[5], needs f32[4]",
       [](OpSet& ops, Memory& m) {
         return ops.elementwise->RmsNorm({m.F32({3, 4}), m.F32({5}), {}, 1e-6},
                                         m.F32({3, 4}), m.F32({3}),
                                         *ops.stream);
       }},
      {"RmsNormGateGradient", "gate and d_gate need to be both given",
       [](OpSet& ops, Memory& m) {
         return ops.elementwise->RmsNormBackward(
             {m.F32({3, 4}), m.F32({4}), m.F32({3, 4}), 1e-6}, m.F32({3}),
             m.F32({3, 4}), {m.F32({3, 4}), m.F32({4}), {}}, {}, *ops.stream);
       }},
      {"RotaryOdd", "Rotary: head size 5 is odd",
       [](OpSet& ops, Memory& m) {
         return ops.elementwise->Rotary(m.F32({1, 2, 1, 5}), m.I64({2}), 1e4,
                                        false, m.F32({1, 2, 1, 5}),
                                        *ops.stream);
       }},
      {"RotaryPositions", "Rotary: positions is i64[3], needs i64[2]",
       [](OpSet& ops, Memory& m) {
         return ops.elementwise->Rotary(m.F32({1, 2, 1, 4}), m.I64({3}), 1e4,
                                        false, m.F32({1, 2, 1, 4}),
                                        *ops.stream);
       }},
      {"SiluShape", "Silu: operand 1 is f32[4, 3], needs f32[3, 4]",
       [](OpSet& ops, Memory& m) {
         return ops.elementwise->Silu(m.F32({3, 4}), m.F32({4, 3}),
                                      *ops.stream);
       }},
      {"SwiGluType", "SwiGlu: operand 0 is i32[3], needs type f32",
       [](OpSet& ops, Memory& m) {
         return ops.elementwise->SwiGlu(m.I32({3}), m.I32({3}), m.I32({3}),
                                        *ops.stream);
       }},
      {"GateNormalizer", "LogSigmoidGate: normalizer is 0",
       [](OpSet& ops, Memory& m) {
         return ops.elementwise->LogSigmoidGate(m.F32({3, 4}), m.F32({4}), 0.0,
                                                m.F32({3, 4}), *ops.stream);
       }},
      {"CopyShape", "Copy: from is f32[3, 4], to is f32[4, 3]",
       [](OpSet& ops, Memory& m) {
         return ops.elementwise->Copy(m.F32({3, 4}), m.F32({4, 3}),
                                      *ops.stream);
       }},
      {"ConvolutionKernel", "ShortConvolution: kernel size 9, needs 2 to 8",
       [](OpSet& ops, Memory& m) {
         return ops.short_convolution->Forward(
             {m.F32({1, 3, 4}), m.F32({4, 9}), {}, false, {}}, m.F32({1, 3, 4}),
             *ops.stream);
       }},
      {"ConvolutionHalo", "halo is f32[1, 2, 4], needs f32[1, 3, 4]",
       [](OpSet& ops, Memory& m) {
         return ops.short_convolution->Forward(
             {m.F32({1, 3, 4}), m.F32({4, 4}), m.F32({1, 2, 4}), false, {}},
             m.F32({1, 3, 4}), *ops.stream);
       }},
      {"ConvolutionDocumentsBatch", "documents need batch 1, not 2",
       [](OpSet& ops, Memory& m) {
         return ops.short_convolution->Forward({m.F32({2, 3, 4}),
                                                m.F32({4, 4}),
                                                {},
                                                false,
                                                {m.positions.data(), 1}},
                                               m.F32({2, 3, 4}), *ops.stream);
       }},
      {"ConvolutionDocumentsOrder", "document start 1 must be above",
       [](OpSet& ops, Memory& m) {
         return ops.short_convolution->Forward({m.F32({1, 3, 4}),
                                                m.F32({4, 4}),
                                                {},
                                                false,
                                                {m.positions.data(), 2}},
                                               m.F32({1, 3, 4}), *ops.stream);
       }},
      {"AdamWStep", "AdamW: step is 0, needs >= 1",
       [](OpSet& ops, Memory& m) {
         m.positions[0] = 0;
         return ops.optimizer->AdamW({}, {m.F32({1}), m.F32({1}), m.I64({1})},
                                     {}, *ops.stream);
       }},
      {"SumOfSquaresOut", "SumOfSquares: out is f32[1], needs type f64",
       [](OpSet& ops, Memory& m) {
         return ops.optimizer->SumOfSquares({}, m.F32({1}), {}, *ops.stream);
       }},
      {"SampleVocabulary", "Sample: a vocabulary of 0, needs 1 to 1048576",
       [](OpSet& ops, Memory& m) {
         return Sample(ops, m, m.F32({2, 0}));
       }},
      {"SampleRows", "Sample: temperature is f64[2], needs f64[3]",
       [](OpSet& ops, Memory& m) {
         return Sample(ops, m, m.F32({3, 5}));
       }},
  };
}

// Two heads of four numbers.
FeatureMapInputs MapOf(FeatureMapKind kind, Memory& m) {
  FeatureMapInputs inputs;
  inputs.kind = kind;
  inputs.x = m.F32({2, 1, 4});
  return inputs;
}

// With weights of three rows.
FeatureMapInputs HadamardOf(Memory& m) {
  FeatureMapInputs inputs = MapOf(FeatureMapKind::kHadamard, m);
  inputs.weight = inputs.second_weight = m.F32({3, 4});
  return inputs;
}

absl::Status Map(OpSet& ops, const FeatureMapInputs& inputs, TensorView y) {
  return ops.feature_maps->Map(inputs, y, *ops.stream);
}

absl::Status MapBackward(OpSet& ops, Memory& m, const FeatureMapInputs& inputs,
                         ConstTensorView d_y, FeatureMapGradients gradients) {
  gradients.d_x = m.F32({2, 1, 4});
  return ops.feature_maps->MapBackward(inputs, d_y, gradients, m.F32({2048}),
                                       *ops.stream);
}

std::vector<BadCall> FeatureMapCalls() {
  using Kind = FeatureMapKind;
  return {
      {"MapWeightOfNoMatrix", "FeatureMap: relu has no weight and no bias",
       [](OpSet& ops, Memory& m) {
         FeatureMapInputs relu = MapOf(Kind::kRelu, m);
         relu.weight = m.F32({4, 4});
         return Map(ops, relu, m.F32({2, 1, 4}));
       }},
      {"MapQuadraticBias", "FeatureMap: bias is missing",
       [](OpSet& ops, Memory& m) {
         FeatureMapInputs quadratic = MapOf(Kind::kQuadratic, m);
         quadratic.weight = m.F32({4});
         return Map(ops, quadratic, m.F32({2, 1, 10}));
       }},
      {"MapEpsilon", "FeatureMap: epsilon is -1, needs to be at least 0",
       [](OpSet& ops, Memory& m) {
         FeatureMapInputs quadratic = MapOf(Kind::kQuadratic, m);
         quadratic.weight = quadratic.bias = m.F32({4});
         quadratic.epsilon = -1.0;
         return Map(ops, quadratic, m.F32({2, 1, 10}));
       }},
      {"MapOneBiasOfTwo", "bias and second_bias need to be both given",
       [](OpSet& ops, Memory& m) {
         FeatureMapInputs hadamard = HadamardOf(m);
         hadamard.bias = m.F32({3});
         return Map(ops, hadamard, m.F32({2, 1, 3}));
       }},
      {"MapSecondWeight", "second_weight is f32[2, 4], needs f32[3, 4]",
       [](OpSet& ops, Memory& m) {
         FeatureMapInputs hadamard = HadamardOf(m);
         hadamard.second_weight = m.F32({2, 4});
         return Map(ops, hadamard, m.F32({2, 1, 3}));
       }},
      {"MapFeatures", "FeatureMap: y is f32[2, 1, 4], needs f32[2, 1, 3]",
       [](OpSet& ops, Memory& m) {
         return Map(ops, HadamardOf(m), m.F32({2, 1, 4}));
       }},
      {"MapGradientOfNothing", "d_weight needs to be given iff its parameter",
       [](OpSet& ops, Memory& m) {
         return MapBackward(ops, m, MapOf(Kind::kRelu, m), m.F32({2, 1, 4}),
                            {.d_weight = m.F32({4, 4})});
       }},
      {"MapGradientMissing", "d_second_weight needs to be given iff its",
       [](OpSet& ops, Memory& m) {
         return MapBackward(ops, m, HadamardOf(m), m.F32({2, 1, 3}),
                            {.d_weight = m.F32({3, 4})});
       }},
      {"MapGradientStrided",
       "d_weight f32[3, 4] is strided, needs to be contiguous",
       [](OpSet& ops, Memory& m) {
         const TensorView strided = m.F32({3, 6}).Slice(1, 0, 4);
         return MapBackward(
             ops, m, HadamardOf(m), m.F32({2, 1, 3}),
             {.d_weight = strided, .d_second_weight = m.F32({3, 4})});
       }},
      {"AppendOnesWidth",
       "AppendOnes: wide is f32[2, 1, 4], needs f32[2, 1, 5]",
       [](OpSet& ops, Memory& m) {
         return ops.feature_maps->AppendOnes(m.F32({2, 1, 4}), m.F32({2, 1, 4}),
                                             *ops.stream);
       }},
      {"NormaliseType", "Normalise: wide is f64[2, 1, 5], needs type f32",
       [](OpSet& ops, Memory& m) {
         return ops.feature_maps->Normalise(m.F64({2, 1, 5}), 0.0,
                                            m.F32({2, 1, 4}), *ops.stream);
       }},
      {"NormaliseGradient",
       "NormaliseBackward: wide is f32[2, 2, 5], needs f32[2, 1, 5]",
       [](OpSet& ops, Memory& m) {
         return ops.feature_maps->NormaliseBackward(
             m.F32({2, 1, 5}), 0.0, m.F32({2, 1, 4}), m.F32({2, 2, 5}),
             *ops.stream);
       }},
  };
}

std::vector<BadCall> LayerPartCalls() {
  return {
      {"ConvolutionBiasSize", "ShortConvolution: bias is f32[3], needs f32[4]",
       [](OpSet& ops, Memory& m) {
         const TensorView x = m.F32({1, 2, 4});
         return ops.short_convolution->Forward(
             {x, m.F32({4, 2}), {}, false, {}, m.F32({3})}, x, *ops.stream);
       }},
      {"ConvolutionBiasGradient",
       "bias and d_bias need to be both given or both null",
       [](OpSet& ops, Memory& m) {
         const TensorView x = m.F32({1, 2, 4});
         const TensorView weight = m.F32({4, 2});
         return ops.short_convolution->Backward(
             {x, weight, {}, false, {}, m.F32({4})}, x, {x, weight, {}, {}},
             m.F32({16}), *ops.stream);
       }},
      {"BoundOfTheFirstLayer",
       "BoundedForgetGate: layer is 0 of 2 bounds; the first layer has none",
       [](OpSet& ops, Memory& m) {
         const TensorView x = m.F32({3, 4});
         return ops.token_gates->BoundedForgetGate({x, m.F32({2, 4}), 0}, x, x,
                                                   *ops.stream);
       }},
      {"BoundColumns", "bounds is f32[2, 3], needs f32[2, 4]",
       [](OpSet& ops, Memory& m) {
         const TensorView x = m.F32({3, 4});
         return ops.token_gates->BoundedForgetGateBackward(
             {x, m.F32({2, 3}), 1}, x, x, {x, m.F32({2, 3})}, *ops.stream);
       }},
  };
}

std::vector<BadCall> AllCalls() {
  std::vector<BadCall> calls = DenseCalls();
  for (const auto& part :
       {ElementwiseCalls(), FeatureMapCalls(), LayerPartCalls()}) {
    for (const BadCall& call : part) calls.push_back(call);
  }
  return calls;
}

class OperandTest : public ::testing::TestWithParam<BadCall> {};

TEST_P(OperandTest, IsRefusedInTheSameWordsByEveryBackend) {
  for (const bool cpu : {false, true}) {
    OpSet ops = cpu ? CpuOps(1) : ReferenceOps();
    Memory memory;
    const absl::Status status = GetParam().call(ops, memory);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().problem));
    EXPECT_EQ(memory.floats, Memory().floats);
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, OperandTest, ::testing::ValuesIn(AllCalls()),
                         [](const auto& info) { return info.param.name; });

TEST(WorkspaceTest, TooSmallIsRefusedWithBothSizes) {
  OpSet ops = CpuOps(1);
  Memory m;
  const absl::Status status =
      ops.cross_entropy->Forward({m.F32({3, 4}), m.F32({9, 4}), m.I32({3}), {}},
                                 {m.F64({1}), {}}, m.F32({16}), *ops.stream);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("workspace is 64 bytes, needs 192 contiguous bytes"));
  FeatureMapInputs inputs = HadamardOf(m);
  const absl::Status map =
      ops.feature_maps->MapBackward(inputs, m.F32({2, 1, 3}),
                                    {.d_x = m.F32({2, 1, 4}),
                                     .d_weight = m.F32({3, 4}),
                                     .d_second_weight = m.F32({3, 4})},
                                    m.F32({16}), *ops.stream);
  EXPECT_THAT(std::string(map.message()),
              HasSubstr("workspace is 64 bytes, needs 320 contiguous bytes"));
}

}  // namespace
}  // namespace longspan::kernels

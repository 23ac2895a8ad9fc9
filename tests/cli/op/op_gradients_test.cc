// What every op writes backward is the derivative of what it writes forward:
// central differences in double, on the reference.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "cli/op/execute_op.h"
#include "cli/op/op_example.h"
#include "cli/op/op_table.h"
#include "common/base/check.h"
#include "kernels/select/backend_registry.h"

namespace longspan::cli {
namespace {

using kernels::BackendKind;
using kernels::DType;

class OpGradientsTest : public testing::Test {
 protected:
  OpGradientsTest() {
    auto backend = kernels::CreateBackend(BackendKind::kReference);
    LONGSPAN_CHECK_OK(backend);
    backend_ = *std::move(backend);
    auto stream = backend_->CreateStream(1);
    LONGSPAN_CHECK_OK(stream);
    stream_ = *std::move(stream);
  }

  std::vector<OwnedTensor> Run(const OpDescription& op,
                               const OpVariant& variant,
                               const std::vector<OwnedTensor>& tensors) {
    std::vector<NamedTensor> views;
    for (const OwnedTensor& tensor : tensors) views.push_back(tensor.tensor());
    auto results = ExecuteOp(
        {&op, variant.flags, DType::kF64},
        {BackendKind::kReference, backend_.get(), stream_.get(), 1}, views);
    LONGSPAN_CHECK_OK(results);
    return *std::move(results);
  }

  // sum over outputs with a gradient of <output, d_output>
  double Loss(const OpDescription& op, const OpVariant& variant,
              const std::vector<OwnedTensor>& tensors) {
    double loss = 0.0;
    for (const OwnedTensor& output : Run(op, variant, tensors)) {
      for (const OwnedTensor& seed : tensors) {
        if (seed.name != "d_" + output.name) continue;
        const std::vector<double> y = ElementsOf(output.tensor());
        const std::vector<double> d_y = ElementsOf(seed.tensor());
        for (size_t i = 0; i < y.size(); ++i) loss += y[i] * d_y[i];
      }
    }
    return loss;
  }

  std::unique_ptr<kernels::Backend> backend_;
  std::unique_ptr<kernels::Stream> stream_;
};

const OwnedTensor* Find(const std::vector<OwnedTensor>& tensors,
                        const std::string& name) {
  for (const OwnedTensor& tensor : tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

void AddTo(OwnedTensor& tensor, size_t index, double step) {
  double value = 0.0;
  char* const place = tensor.bytes.data() + index * sizeof(value);
  std::memcpy(&value, place, sizeof(value));
  value += step;
  std::memcpy(place, &value, sizeof(value));
}

TEST_F(OpGradientsTest, AreDerivatives) {
  constexpr double kStep = 1e-5;
  int compared = 0;
  for (const OpDescription& op : OpTable()) {
    if (!op.backward) continue;
    for (const OpVariant& variant : op.variants) {
      std::vector<OwnedTensor> tensors =
          ExampleTensors(op, variant, DType::kF64, Passes::kForwardBackward);
      const std::vector<OwnedTensor> results = Run(op, variant, tensors);
      for (OwnedTensor& tensor : tensors) {
        const OwnedTensor* gradient = Find(results, "d_" + tensor.name);
        if (gradient == nullptr || tensor.dtype != "F64") continue;
        const std::vector<double> d = ElementsOf(gradient->tensor());
        for (size_t i = 0; i < d.size(); i += 1 + d.size() / 5) {
          AddTo(tensor, i, kStep);
          const double above = Loss(op, variant, tensors);
          AddTo(tensor, i, -2 * kStep);
          const double below = Loss(op, variant, tensors);
          AddTo(tensor, i, kStep);
          EXPECT_NEAR(d[i], (above - below) / (2 * kStep),
                      1e-6 * std::max(1.0, std::fabs(d[i])))
              << op.name << ", " << variant.name << ": d_" << tensor.name << "["
              << i << "]";
          ++compared;
        }
      }
    }
  }
  EXPECT_GT(compared, 100);
}

}  // namespace
}  // namespace longspan::cli

// Every barrier and launch of the kernels whose threads meet is broken in
// turn: a comparison with the sound result notices. Each case is swept by
// itself, because the kernels share lines (team_sum.h, column_sum.cu).
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "tests/kernels/cuda/ops/cuda_op_set.h"
#include "tests/support/cuda_emulator/fault_sweep.h"

namespace longspan::kernels {
namespace {

using cuda::emulated::Primitive;
using cuda::emulated::PrimitiveSite;

constexpr int kOrders = 20;

// What a run wrote; empty when it failed.
using Written = std::map<std::string, std::vector<double>>;

Written WrittenBy(const OpCase& op) {
  const std::vector<Operand> operands = Bf16Operands(op);
  OpSet cuda = EmulatedCudaOps();
  Operands values(operands, DType::kF32);
  if (!RunCase(op, cuda, values).ok()) return {};
  Written written;
  for (const Operand& operand : operands) {
    if (operand.role == Role::kInput) continue;
    written[operand.name] = values.Values(operand.name);
  }
  return written;
}

std::vector<PrimitiveSite> SitesOf(const OpCase& op, Primitive primitive) {
  cuda::emulated::EmulatorOptions options = cuda::emulated::CurrentOptions();
  options.record_sites = true;
  const cuda::emulated::ScopedEmulatorOptions scope(options);
  cuda::emulated::TakeSites();
  EXPECT_FALSE(WrittenBy(op).empty());
  std::vector<PrimitiveSite> sites;
  for (const PrimitiveSite& site : cuda::emulated::TakeSites()) {
    if (site.primitive == primitive) sites.push_back(site);
  }
  return sites;
}

// Ends the process when an order shows that `site` is broken.
void Break(const OpCase& op, const PrimitiveSite& site, const Written& sound) {
  const auto planted = cuda::emulated::SweepFaults(
      [&] { return WrittenBy(op) == sound; }, kOrders,
      [&](const PrimitiveSite& other) { return other == site; });
  if (planted.size() == 1 && planted[0].caught > 0) std::_Exit(1);
}

// In a process of its own: what nobody wrote may be an index.
void ExpectNoticed(const OpCase& op, const std::vector<PrimitiveSite>& sites) {
  const Written sound = WrittenBy(op);
  ASSERT_FALSE(sound.empty());
  // What an order shows is the fault's doing only if the sound op passes all.
  EXPECT_EQ(cuda::emulated::FailingOrders(
                [&] { return WrittenBy(op) == sound; }, kOrders),
            0);
  for (const PrimitiveSite& site : sites) {
    SCOPED_TRACE(site.file + ":" + std::to_string(site.line));
    EXPECT_DEATH(Break(op, site, sound), "");
  }
}

// A case of tests/kernels/ops, and the barriers of its kernels.
struct Swept {
  std::string name;
  size_t barriers;
};

class CudaOpsFaultTest : public ::testing::TestWithParam<Swept> {
 protected:
  static const OpCase& Case() {
    for (const OpCase& op : OpCases()) {
      if (op.name == GetParam().name) return op;
    }
    ADD_FAILURE() << "no case " << GetParam().name;
    return OpCases().front();
  }
};

TEST_P(CudaOpsFaultTest, EachBarrierIsNeeded) {
  const std::vector<PrimitiveSite> barriers =
      SitesOf(Case(), Primitive::kSyncBlock);
  EXPECT_EQ(barriers.size(), GetParam().barriers);
  ExpectNoticed(Case(), barriers);
}

TEST_P(CudaOpsFaultTest, LastBlocksAreNeeded) {
  const std::vector<PrimitiveSite> launches =
      SitesOf(Case(), Primitive::kLaunch);
  EXPECT_FALSE(launches.empty());
  ExpectNoticed(Case(), launches);
}

INSTANTIATE_TEST_SUITE_P(
    Ops, CudaOpsFaultTest,
    ::testing::Values(Swept{"RmsNormGated_9_520_accumulate", 4},
                      Swept{"ShortConvolution_1x12x18_kernel4_halo_documents",
                            1},
                      Swept{"Embed_70x100", 2}, Swept{"LogSigmoidGate_5_4", 1},
                      Swept{"CrossEntropy_4x3x33_no_nll", 3},
                      Swept{"Sample_random_37", 10},
                      Swept{"AdamW_37_step_1", 1}, Swept{"SumOfSquares_5", 1}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace longspan::kernels

// The op families of the CUDA backend over the emulator, for the cases of
// tests/kernels/ops. Operands lie in ordinary memory: an emulated kernel reads
// what any thread could.
#pragma once

#include "tests/kernels/ops/op_case.h"

namespace longspan::kernels {

OpSet EmulatedCudaOps();

// The operands of `op` as the CUDA backend takes them beside activations in
// bf16: activations bf16, parameters of rank 1, sums and gradients of
// parameters f32.
std::vector<Operand> Bf16Operands(const OpCase& op);

// Forward, backward where there is one, and everything submitted has run.
absl::Status RunCase(const OpCase& op, OpSet& ops, Operands& operands);

}  // namespace longspan::kernels

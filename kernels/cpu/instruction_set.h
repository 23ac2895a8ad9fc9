// The instruction sets for which kernels are compiled, best last.
#pragma once

namespace longspan::kernels {

enum class InstructionSet { kBaseline, kAvx2, kAvx512 };

// The best set that this processor and operating system support. The variable
// LONGSPAN_INSTRUCTION_SET (baseline, avx2, avx512) lowers it, so that runs on
// different machines can be made to agree in their bits.
InstructionSet BestInstructionSet();

// Whether kernels of `set` may use tiles of bf16 (AMX-BF16, with AVX512-BF16):
// `set` is kAvx512, and processor and kernel grant them to this process. The
// first call asks the kernel.
bool HasBf16Tiles(InstructionSet set);

// "baseline", "avx2" or "avx512".
const char* InstructionSetName(InstructionSet set);

}  // namespace longspan::kernels

// The instruction sets for which kernels are compiled, best last.
#pragma once

namespace longspan::kernels {

enum class InstructionSet { kBaseline, kAvx2, kAvx512 };

// The best set that this processor and operating system support. The variable
// LONGSPAN_INSTRUCTION_SET (baseline, avx2, avx512) lowers it, so that runs on
// different machines can be made to agree in their bits.
InstructionSet BestInstructionSet();

// "baseline", "avx2" or "avx512".
const char* InstructionSetName(InstructionSet set);

}  // namespace longspan::kernels

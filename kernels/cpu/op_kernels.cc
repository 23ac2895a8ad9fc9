#include "kernels/cpu/op_kernels.h"

namespace longspan::kernels {

namespace variant_baseline {
extern const OpKernels kOpKernels;
}
#if defined(__x86_64__)
namespace variant_avx2 {
extern const OpKernels kOpKernels;
}
namespace variant_avx512 {
extern const OpKernels kOpKernels;
}
#endif

const OpKernels& OpKernelsFor(InstructionSet set) {
#if defined(__x86_64__)
  if (set == InstructionSet::kAvx512) return variant_avx512::kOpKernels;
  if (set == InstructionSet::kAvx2) return variant_avx2::kOpKernels;
#endif
  (void)set;
  return variant_baseline::kOpKernels;
}

}  // namespace longspan::kernels

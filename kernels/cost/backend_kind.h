// The backends that plans and costs distinguish.
#pragma once

namespace longspan::kernels {

enum class BackendKind { kReference, kCpu, kCuda };

}  // namespace longspan::kernels

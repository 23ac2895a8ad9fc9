// The CPU backend: blocked, vectorised and threaded ops for f32 and f64. The
// instruction set is chosen when the backend is created and decides the bits;
// thread counts never do.
#pragma once

#include <memory>

#include "kernels/api/backend.h"

namespace longspan::kernels {

std::unique_ptr<Backend> CreateCpuBackend();

}  // namespace longspan::kernels

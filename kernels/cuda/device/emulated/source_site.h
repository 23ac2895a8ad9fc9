#pragma once

// Where in a kernel's source a primitive was called. As the default argument
// of an emulated primitive, Here() is the line of that call.

namespace longspan::kernels::cuda::emulated {

struct SourceSite {
  const char* file;
  int line;

  static constexpr SourceSite Here(const char* file = __builtin_FILE(),
                                   int line = __builtin_LINE()) {
    return {file, line};
  }
};

}  // namespace longspan::kernels::cuda::emulated

// Inner loops of the feature maps (kernels/api/feature_map.h), once per element
// type and instruction set.
//
// A call takes up to `lanes` heads, one per vector lane, so that every map is
// written over whole vectors whatever D is. It knows nothing of views or
// threads; a head's features do not depend on which heads share the call.
#pragma once

#include <cstdint>

#include "kernels/api/feature_map.h"
#include "kernels/cpu/instruction_set.h"

namespace longspan::kernels {

inline constexpr int kMaxFeatureLanes = 16;

template <typename T>
struct FeatureMapRows {
  FeatureMapKind kind = FeatureMapKind::kRelu;
  int64_t head_dim = 0;
  int64_t features = 0;
  int64_t hidden = 0;  // rows of W
  const T* weight = nullptr;
  const T* bias = nullptr;
  const T* second_weight = nullptr;
  const T* second_bias = nullptr;
  double epsilon = 0.0;
  int count = 0;  // heads of this call
  const T* x[kMaxFeatureLanes] = {};
};

// Sums of parameter gradients, null as the parameters are.
template <typename T>
struct FeatureMapSums {
  T* weight = nullptr;
  T* bias = nullptr;
  T* second_weight = nullptr;
  T* second_bias = nullptr;
};

template <typename T>
struct FeatureMapRowKernels {
  int lanes = 1;
  void (*map)(const FeatureMapRows<T>& rows, T* const* y);
  void (*map_backward)(const FeatureMapRows<T>& rows, const T* const* d_y,
                       T* const* d_x, const FeatureMapSums<T>& sums);
};

struct FeatureMapKernels {
  FeatureMapRowKernels<float> f32;
  FeatureMapRowKernels<double> f64;
};

namespace baseline {
extern const FeatureMapKernels kFeatureMapKernels;
}
#if defined(__x86_64__)
namespace avx2 {
extern const FeatureMapKernels kFeatureMapKernels;
}
namespace avx512 {
extern const FeatureMapKernels kFeatureMapKernels;
}
#endif

}  // namespace longspan::kernels

#include "kernels/reference/sigmoid.h"

#include <algorithm>
#include <cmath>

namespace longspan::kernels {

double SigmoidOf(double x) { return 1.0 / (1.0 + std::exp(-x)); }

double LogSigmoidOf(double x) {
  return std::min(x, 0.0) - std::log1p(std::exp(-std::abs(x)));
}

double SiluOf(double x) { return x * SigmoidOf(x); }

double SiluDerivative(double x) {
  const double s = SigmoidOf(x);
  return s * (1.0 + x * (1.0 - s));
}

}  // namespace longspan::kernels

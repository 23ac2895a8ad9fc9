// The sigmoid family in double.
#pragma once

namespace longspan::kernels {

double SigmoidOf(double x);       // 1 / (1 + e^-x)
double LogSigmoidOf(double x);    // without overflow for large |x|
double SiluOf(double x);          // x sigmoid(x)
double SiluDerivative(double x);  // s (1 + x (1 - s)), s = sigmoid(x)

}  // namespace longspan::kernels

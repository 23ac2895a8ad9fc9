// Reads and writes single elements of a view as double, whatever its type.
// Slow on purpose: the reference ops are definitions, not implementations.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "kernels/api/tensor_view.h"

namespace longspan::kernels {

// Offset in elements of `index`, which has one entry per dimension.
int64_t ElementOffset(ConstTensorView view,
                      std::initializer_list<int64_t> index);

double Load(ConstTensorView view, std::initializer_list<int64_t> index);
void Store(TensorView view, std::initializer_list<int64_t> index, double value);
void Accumulate(TensorView view, std::initializer_list<int64_t> index,
                double value);

// The element with running number `flat` in row-major order of the shape.
double LoadFlat(ConstTensorView view, int64_t flat);
void StoreFlat(TensorView view, int64_t flat, double value);

}  // namespace longspan::kernels

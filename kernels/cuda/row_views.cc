#include "kernels/cuda/row_views.h"

#include "common/base/check.h"

namespace longspan::kernels::cuda {
namespace {

constexpr int64_t kVectorBytes = 16;

bool IsAligned(const void* data) {
  return reinterpret_cast<uintptr_t>(data) % kVectorBytes == 0;
}

// The outer dimensions and the row of all views, dimensions of size 1 left out
// and neighbours merged where every view allows it.
class Merger {
 public:
  explicit Merger(std::initializer_list<ConstTensorView> views) {
    for (const ConstTensorView& view : views) views_[count_++] = view;
    const int rank = views_[0].rank();
    size_[0] = rank == 0 ? 1 : views_[0].size(rank - 1);
    for (int i = 0; i < count_; ++i) stride_[i][0] = 1;
    for (int dim = rank - 2; dim >= 0; --dim) Push(dim);
  }

  // Dimension 0 is the row, the last one the slowest.
  int rank() const { return rank_; }
  int64_t size(int dim) const { return size_[dim]; }
  int64_t stride(int view, int dim) const { return stride_[view][dim]; }

 private:
  void Push(int dim) {
    const int64_t size = views_[0].size(dim);
    if (size == 1) return;
    const int last = rank_ - 1;
    bool merges = true;
    for (int i = 0; i < count_; ++i) {
      merges &= views_[i].stride(dim) == size_[last] * stride_[i][last];
    }
    if (merges) {
      size_[last] *= size;
      return;
    }
    size_[rank_] = size;
    for (int i = 0; i < count_; ++i) stride_[i][rank_] = views_[i].stride(dim);
    ++rank_;
  }

  int count_ = 0;
  int rank_ = 1;
  ConstTensorView views_[kMaxRowOperands];
  int64_t size_[kMaxRank] = {};
  int64_t stride_[kMaxRowOperands][kMaxRank] = {};
};

}  // namespace

RowViews RowViewsOf(std::initializer_list<ConstTensorView> views) {
  LONGSPAN_CHECK(views.size() <= kMaxRowOperands) << views.size() << " views";
  const Merger merged(views);
  RowViews result;
  RowSpace& space = result.space;
  space.rank = merged.rank() - 1;
  space.inner = merged.size(0);
  space.packs_per_row = (space.inner + kPackElements - 1) / kPackElements;
  space.packs = space.packs_per_row;
  space.wide = true;
  for (int dim = 0; dim < space.rank; ++dim) {
    space.size[dim] = merged.size(space.rank - dim);
    space.packs *= space.size[dim];
  }
  int i = 0;
  for (const ConstTensorView& view : views) {
    RowOperand& operand = result.operands[i];
    const int64_t width = BytesPerElement(view.dtype());
    operand.data = view.data();
    space.wide &= IsAligned(view.data());
    for (int dim = 0; dim < space.rank; ++dim) {
      operand.stride[dim] = merged.stride(i, space.rank - dim);
      space.wide &= operand.stride[dim] * width % kVectorBytes == 0;
    }
    ++i;
  }
  return result;
}

bool AllowsVectors(ConstTensorView view) {
  const int64_t width = BytesPerElement(view.dtype());
  bool allowed = IsAligned(view.data());
  for (int dim = 0; dim + 1 < view.rank(); ++dim) {
    allowed &=
        view.size(dim) == 1 || view.stride(dim) * width % kVectorBytes == 0;
  }
  return allowed;
}

}  // namespace longspan::kernels::cuda

#include "kernels/cpu/work_split.h"

#include "common/base/check.h"

namespace longspan::kernels {

RunSplitter::RunSplitter(std::initializer_list<ConstTensorView> views) {
  LONGSPAN_CHECK(views.size() <= kMaxViews) << views.size() << " views";
  for (const ConstTensorView& view : views) {
    views_[view_count_++] = view;
    contiguous_ = contiguous_ && view.is_contiguous();
  }
  elements_ = views_[0].element_count();
  if (elements_ == 0) return;
  if (contiguous_) {
    run_count_ = (elements_ + kItemElements - 1) / kItemElements;
    return;
  }
  const int64_t size = views_[0].size(views_[0].rank() - 1);
  run_count_ = elements_ / size;
  runs_per_item_ = GrainOf(size);
}

RunSplitter::Run RunSplitter::RunAt(int64_t index) const {
  Run run;
  if (contiguous_) {
    const int64_t begin = index * kItemElements;
    run.size = std::min(kItemElements, elements_ - begin);
    for (int i = 0; i < view_count_; ++i) run.offsets[i] = begin;
    return run;
  }
  const int last = views_[0].rank() - 1;
  run.size = views_[0].size(last);
  for (int dim = last - 1; dim >= 0; --dim) {
    const int64_t position = index % views_[0].size(dim);
    index /= views_[0].size(dim);
    for (int i = 0; i < view_count_; ++i) {
      run.offsets[i] += position * views_[i].stride(dim);
    }
  }
  return run;
}

}  // namespace longspan::kernels

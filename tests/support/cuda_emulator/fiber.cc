#include "tests/support/cuda_emulator/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include "common/base/check.h"
#include "tests/support/cuda_emulator/sanitizer_hooks.h"

namespace longspan::kernels::cuda::emulated {

namespace context = boost::context::detail;

Fiber::Fiber(size_t stack_bytes, int color, Entry entry)
    : entry_(entry), color_(color) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  mapping_bytes_ = stack_bytes + page;
  mapping_ = mmap(nullptr, mapping_bytes_, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  LONGSPAN_CHECK(mapping_ != MAP_FAILED) << "no memory for a fiber's stack";
  LONGSPAN_CHECK(mprotect(mapping_, page, PROT_NONE) == 0);
  bottom_ = static_cast<char*>(mapping_) + page;
  bytes_ = stack_bytes;
  Reset();
}

Fiber::~Fiber() {
  if (mapping_ != nullptr) {
    Unpoison(bottom_, bytes_);
    munmap(mapping_, mapping_bytes_);
  }
}

void Fiber::Reset() {
  constexpr size_t kStagger = 320;
  constexpr size_t kStaggerRange = 8192;
  Unpoison(bottom_, bytes_);
  const size_t usable =
      bytes_ - static_cast<size_t>(color_) * kStagger % kStaggerRange;
  char* top = static_cast<char*>(const_cast<void*>(bottom_)) + usable;
  context_ = context::make_fcontext(top, usable, &Fiber::Start);
  fake_stack_ = nullptr;
}

void Fiber::Jump(Fiber& from, Fiber& to) {
  Passage passage{&from, &to};
  StartSwitch(&from.fake_stack_, to.bottom_, to.bytes_);
  Arrive(context::jump_fcontext(to.context_, &passage), from.fake_stack_);
}

void Fiber::Start(context::transfer_t transfer) {
  const Entry entry = Arrive(transfer, nullptr).to->entry_;
  entry();
}

// The one that jumped here can be jumped to at `transfer.fctx`. Its passage
// lies on its stack, where it stays until then.
const Fiber::Passage& Fiber::Arrive(context::transfer_t transfer,
                                    void* fake_stack) {
  const Passage& passage = *static_cast<const Passage*>(transfer.data);
  FinishSwitch(fake_stack, &passage.from->bottom_, &passage.from->bytes_);
  passage.from->context_ = transfer.fctx;
  return passage;
}

}  // namespace longspan::kernels::cuda::emulated

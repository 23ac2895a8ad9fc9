#pragma once

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>

// A stack that code runs on, and the jump from one to another within a thread
// of the operating system: Boost.Context's functions, with the sanitizer told
// of every jump. (boost::context::fiber itself does not work under
// AddressSanitizer with Debian's library.)

namespace longspan::kernels::cuda::emulated {

class Fiber {
 public:
  // Starts at `entry`, which never returns, when it is first jumped to. Above
  // the stack's end lies a page that faults.
  using Entry = void (*)();

  // The stack of the calling thread itself.
  Fiber() = default;
  // `color` staggers the stacks' first bytes, or the same variable of every
  // fiber would compete for the same cache lines.
  Fiber(size_t stack_bytes, int color, Entry entry);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Goes on in `to`; returns when somebody jumps back to `from`, the fiber
  // that runs now.
  static void Jump(Fiber& from, Fiber& to);

  // Forgets what the fiber was doing: the next jump starts it at its entry.
  void Reset();

 private:
  // On its way from one fiber to another.
  struct Passage {
    Fiber* from;
    Fiber* to;
  };

  static void Start(boost::context::detail::transfer_t transfer);
  static const Passage& Arrive(boost::context::detail::transfer_t transfer,
                               void* fake_stack);

  boost::context::detail::fcontext_t context_ = nullptr;
  Entry entry_ = nullptr;
  int color_ = 0;
  void* mapping_ = nullptr;
  size_t mapping_bytes_ = 0;
  // What the sanitizer wants to know.
  const void* bottom_ = nullptr;
  size_t bytes_ = 0;
  void* fake_stack_ = nullptr;
};

}  // namespace longspan::kernels::cuda::emulated

#pragma once

#include <cstddef>

// AddressSanitizer's interface, or nothing where it is not built in. (Clang
// finds no header of gcc's sanitizer, hence the declarations.)

#if defined(LONGSPAN_EMULATOR_ASAN)
extern "C" {
void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom,
                                    size_t size);
void __sanitizer_finish_switch_fiber(void* fake_stack, const void** bottom,
                                     size_t* size);
void __asan_poison_memory_region(const volatile void* address, size_t size);
void __asan_unpoison_memory_region(const volatile void* address, size_t size);
void* __asan_region_is_poisoned(void* address, size_t size);
}
#endif

namespace longspan::kernels::cuda::emulated {

#if defined(LONGSPAN_EMULATOR_ASAN)

inline constexpr bool kAddressSanitizer = true;

inline void StartSwitch(void** fake_stack, const void* bottom, size_t bytes) {
  __sanitizer_start_switch_fiber(fake_stack, bottom, bytes);
}
inline void FinishSwitch(void* fake_stack, const void** bottom, size_t* bytes) {
  __sanitizer_finish_switch_fiber(fake_stack, bottom, bytes);
}
inline void Poison(const void* address, size_t bytes) {
  __asan_poison_memory_region(address, bytes);
}
inline void Unpoison(const void* address, size_t bytes) {
  __asan_unpoison_memory_region(address, bytes);
}
// Whether any of these bytes is outside of every object.
inline bool IsPoisoned(const void* address, size_t bytes) {
  return __asan_region_is_poisoned(const_cast<void*>(address), bytes) !=
         nullptr;
}

#else

inline constexpr bool kAddressSanitizer = false;

inline void StartSwitch(void**, const void*, size_t) {}
inline void FinishSwitch(void*, const void**, size_t*) {}
inline void Poison(const void*, size_t) {}
inline void Unpoison(const void*, size_t) {}
inline bool IsPoisoned(const void*, size_t) { return false; }

#endif

}  // namespace longspan::kernels::cuda::emulated

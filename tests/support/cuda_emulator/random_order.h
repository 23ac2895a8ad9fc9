#pragma once

#include <bit>
#include <cstdint>
#include <numeric>

// The random choices of the emulator: small, fast and reproducible.

namespace longspan::kernels::cuda::emulated {

class RandomOrder {
 public:
  explicit RandomOrder(uint64_t seed) : state_(Mix(seed)) {}

  // splitmix64.
  static uint64_t Mix(uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
  }

  uint32_t Next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<uint32_t>((state_ * 0x2545F4914F6CDD1Du) >> 32);
  }

  // 0 to count - 1.
  uint32_t Below(uint32_t count) {
    return static_cast<uint32_t>((uint64_t{Next()} * count) >> 32);
  }

  // One of the set bits of `mask`, which is not 0.
  int AnyBit(uint32_t mask) {
    uint32_t skipped = Below(static_cast<uint32_t>(std::popcount(mask)));
    while (skipped-- > 0) {
      mask &= mask - 1;
    }
    return std::countr_zero(mask);
  }

 private:
  uint64_t state_;
};

// A random permutation of 0 to count - 1 without a table: start + i * stride.
class BlockOrder {
 public:
  BlockOrder(int64_t count, RandomOrder& random)
      : count_(static_cast<uint64_t>(count)),
        start_(random.Next() % count_),
        stride_(random.Next() % count_) {
    while (std::gcd(stride_, count_) != 1) {
      ++stride_;
    }
  }

  int64_t Block(int64_t i) const {
    return static_cast<int64_t>((start_ + static_cast<uint64_t>(i) * stride_) %
                                count_);
  }

 private:
  uint64_t count_, start_, stride_;
};

}  // namespace longspan::kernels::cuda::emulated

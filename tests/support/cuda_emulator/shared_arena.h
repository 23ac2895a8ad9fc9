#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

// The shared memory of one block at a time: NaN bytes when a block starts,
// guarded on both sides, and a map of the bytes that asynchronous copies have
// under way.

namespace longspan::kernels::cuda::emulated {

class SharedArena {
 public:
  // What a block of sm_90 may have (sm_80: 163 KiB).
  static constexpr int kMaxBytes = 227 * 1024;
  static constexpr unsigned char kPoison = 0xFF;

  SharedArena();
  ~SharedArena();
  SharedArena(const SharedArena&) = delete;
  SharedArena& operator=(const SharedArena&) = delete;

  // For the blocks of a launch: bytes beyond `bytes` are out of bounds.
  void Resize(int bytes);
  // For the next block. `trap` makes a touch of bytes under way a report of
  // AddressSanitizer.
  void StartBlock(bool trap);
  // Whether the bytes around the block's are untouched.
  bool GuardsIntact() const;

  unsigned char* data() const { return data_; }

  bool Contains(const void* address, size_t bytes) const {
    const auto* at = static_cast<const unsigned char*>(address);
    return at >= data_ && bytes <= bytes_ &&
           static_cast<size_t>(at - data_) <= bytes_ - bytes;
  }

  // The 4-byte words of a copy: `shared` and `bytes` are multiples of 4.
  void BeginCopy(void* shared, int bytes);
  void EndCopy(void* shared, int bytes);
  bool UnderWay(const void* shared, int bytes) const;

 private:
  size_t Word(const void* shared) const {
    return static_cast<size_t>(static_cast<const unsigned char*>(shared) -
                               data_) /
           4;
  }

  unsigned char* mapping_ = nullptr;
  size_t mapping_bytes_ = 0;
  unsigned char* first_ = nullptr;  // accessible bytes of the mapping
  unsigned char* end_ = nullptr;
  unsigned char* data_ = nullptr;
  size_t bytes_ = 0;
  bool trap_ = false;
  int words_under_way_ = 0;
  std::vector<unsigned char> under_way_;  // a word each
};

}  // namespace longspan::kernels::cuda::emulated

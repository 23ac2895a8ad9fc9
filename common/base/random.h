// Counter-based random numbers: pure functions of (seed, purpose, stream,
// index). Nothing depends on the order of calls, on sharding or on batching:
// the number for global index i is the same on whichever rank asks for it.
//
// Philox4x32 with ten rounds: Salmon et al., "Parallel random numbers: as
// easy as 1, 2, 3", SC 2011.
#pragma once

#include <array>
#include <cstdint>

namespace longspan {

// One value per use, so that two uses of one seed never share numbers.
enum class RandomPurpose : uint32_t {
  kParameterInit = 1,
  kDataOrder = 2,
  kSampling = 3,
  kDropout = 4,
  kTest = 5,
  kJitter = 6,
};

struct RandomKey {
  uint64_t seed = 0;
  RandomPurpose purpose = RandomPurpose::kTest;
  // Subdivides a purpose: the number of a parameter, an epoch, a request.
  uint32_t stream = 0;
};

// The block cipher itself, as in the paper.
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter,
                                   std::array<uint32_t, 2> key);

// 128 random bits for `index`.
std::array<uint32_t, 4> RandomBits(const RandomKey& key, uint64_t index);

// Uniform in [0, 1), 53 bits.
double RandomUniform(const RandomKey& key, uint64_t index);

// Uniform in [0, bound), without bias worth measuring (64-bit multiply).
uint64_t RandomBelow(const RandomKey& key, uint64_t index, uint64_t bound);

// Standard normal (Box-Muller on the 128 bits of one index).
double RandomNormal(const RandomKey& key, uint64_t index);

}  // namespace longspan

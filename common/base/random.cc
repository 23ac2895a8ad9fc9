#include "common/base/random.h"

#include <cmath>
#include <numbers>

namespace longspan {
namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;

std::array<uint32_t, 4> Round(const std::array<uint32_t, 4>& c,
                              const std::array<uint32_t, 2>& k) {
  const uint64_t p0 = static_cast<uint64_t>(kMultiplier0) * c[0];
  const uint64_t p1 = static_cast<uint64_t>(kMultiplier1) * c[2];
  return {
      static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(p1),
      static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(p0)};
}

uint64_t Join(uint32_t low, uint32_t high) {
  return static_cast<uint64_t>(high) << 32 | low;
}

// The 53 high bits as a fraction in [0, 1).
double Fraction(uint64_t bits) {
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter,
                                   std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    if (round > 0) key = {key[0] + kWeyl0, key[1] + kWeyl1};
    counter = Round(counter, key);
  }
  return counter;
}

std::array<uint32_t, 4> RandomBits(const RandomKey& key, uint64_t index) {
  return Philox4x32(
      {static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
       static_cast<uint32_t>(key.purpose), key.stream},
      {static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32)});
}

double RandomUniform(const RandomKey& key, uint64_t index) {
  const auto bits = RandomBits(key, index);
  return Fraction(Join(bits[0], bits[1]));
}

uint64_t RandomBelow(const RandomKey& key, uint64_t index, uint64_t bound) {
  const auto bits = RandomBits(key, index);
  const auto product =
      static_cast<unsigned __int128>(Join(bits[0], bits[1])) * bound;
  return static_cast<uint64_t>(product >> 64);
}

double RandomNormal(const RandomKey& key, uint64_t index) {
  const auto bits = RandomBits(key, index);
  const double radius_bits = 1.0 - Fraction(Join(bits[0], bits[1]));  // (0, 1]
  const double angle = Fraction(Join(bits[2], bits[3]));
  return std::sqrt(-2.0 * std::log(radius_bits)) *
         std::cos(2.0 * std::numbers::pi * angle);
}

}  // namespace longspan

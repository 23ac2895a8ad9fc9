// Distinct types for ids, ranks and offsets, so that one cannot be passed
// for another:
//
//   using SequenceRank = StrongId<struct SequenceRankTag, int>;
//   using JobId = StrongId<struct JobIdTag, std::string>;
//
// The value is reached by name only: id.value(). Comparison, hashing
// (Abseil and std) and printing are those of the representation. Arithmetic
// is deliberately absent.
#pragma once

#include <compare>
#include <functional>
#include <ostream>
#include <utility>

namespace longspan {

template <typename Tag, typename Rep>
class StrongId {
 public:
  using rep = Rep;

  StrongId() : value_() {}
  explicit StrongId(Rep value) : value_(std::move(value)) {}

  const Rep& value() const { return value_; }

  friend bool operator==(const StrongId&, const StrongId&) = default;
  friend auto operator<=>(const StrongId&, const StrongId&) = default;

  template <typename H>
  friend H AbslHashValue(H state, const StrongId& id) {
    return H::combine(std::move(state), id.value_);
  }

  friend std::ostream& operator<<(std::ostream& out, const StrongId& id) {
    return out << id.value_;
  }

 private:
  Rep value_;
};

}  // namespace longspan

template <typename Tag, typename Rep>
struct std::hash<longspan::StrongId<Tag, Rep>> {
  std::size_t operator()(const longspan::StrongId<Tag, Rep>& id) const {
    return std::hash<Rep>()(id.value());
  }
};

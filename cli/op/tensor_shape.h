// The sizes of an op's tensors by name: bound by the tensors that are there,
// then used for those that the op makes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace longspan::cli {

class ShapeSizes {
 public:
  // Matches a tensor's shape with its pattern (op_description.h), learns the
  // sizes that are new and compares the others. kInvalidArgument says what the
  // tensor `what` has and needs.
  absl::Status Bind(const std::string& what, const std::string& pattern,
                    const std::vector<int64_t>& shape);

  // The shape of a pattern without alternatives; its sizes must be known.
  std::vector<int64_t> ShapeOf(const std::string& pattern) const;

  int64_t Get(const std::string& name) const;
  bool Has(const std::string& name) const { return sizes_.count(name) > 0; }
  void Set(const std::string& name, int64_t size);
  void SetLeading(const std::vector<int64_t>& sizes) { leading_ = sizes; }

 private:
  absl::Status BindSize(const std::string& what, const std::string& pattern,
                        const std::string& term, int64_t size);
  absl::Status BindLeading(const std::string& what,
                           const std::vector<int64_t>& sizes);
  std::string Needs(const std::string& pattern) const;

  std::map<std::string, int64_t> sizes_;
  // Who told each size, for the errors, and what * stands for.
  std::map<std::string, std::string> from_;
  std::vector<int64_t> leading_;
  bool has_leading_ = false;
};

// "B T H" and "B T H Dk" of "B T H | B T H Dk".
std::vector<std::string> AlternativeShapes(const std::string& pattern);
// "[B, T, H] or [B, T, H, Dk]"
std::string ShapeText(const std::string& pattern);

}  // namespace longspan::cli

#include "cli/op/tensor_shape.h"

#include <algorithm>
#include <cctype>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace longspan::cli {
namespace {

std::vector<std::string> Terms(const std::string& pattern) {
  return absl::StrSplit(pattern, ' ', absl::SkipEmpty());
}

// "K-1" is the size K and -1 more; "1" is no size and 1 more.
struct Term {
  std::string name;
  int64_t more = 0;
};

Term ParseTerm(const std::string& text) {
  const size_t sign = text.find_first_of("+-");
  Term term = {text.substr(0, sign)};
  if (sign != std::string::npos) term.more = std::stoll(text.substr(sign));
  if (std::isdigit(static_cast<unsigned char>(text[0])) != 0) {
    term = {"", std::stoll(text)};
  }
  return term;
}

bool Fits(const std::vector<std::string>& terms, size_t rank) {
  const bool any = !terms.empty() && terms[0] == "*";
  if (any) return rank + 1 >= terms.size();
  return rank == terms.size() || (terms[0] == "1" && rank == 0);
}

}  // namespace

std::vector<std::string> AlternativeShapes(const std::string& pattern) {
  return absl::StrSplit(pattern, " | ");
}

std::string ShapeText(const std::string& pattern) {
  std::vector<std::string> shapes;
  for (const std::string& shape : AlternativeShapes(pattern)) {
    shapes.push_back(absl::StrCat("[", absl::StrJoin(Terms(shape), ", "), "]"));
  }
  return absl::StrJoin(shapes, " or ");
}

int64_t ShapeSizes::Get(const std::string& name) const {
  const auto size = sizes_.find(name);
  LONGSPAN_CHECK(size != sizes_.end()) << "nobody told the size " << name;
  return size->second;
}

void ShapeSizes::Set(const std::string& name, int64_t size) {
  sizes_[name] = size;
}

std::string ShapeSizes::Needs(const std::string& pattern) const {
  std::vector<std::string> known;
  for (const auto& [name, tensor] : from_) {
    if (absl::StrContains(absl::StrCat(" ", pattern, " "),
                          absl::StrCat(" ", name, " "))) {
      known.push_back(absl::StrCat(name, " = ", Get(name), " of ", tensor));
    }
  }
  return absl::StrCat("needs ", ShapeText(pattern),
                      known.empty() ? "" : " with ",
                      absl::StrJoin(known, ", "));
}

absl::Status ShapeSizes::BindSize(const std::string& what,
                                  const std::string& pattern,
                                  const std::string& text, int64_t size) {
  const Term term = ParseTerm(text);
  if (size < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        what, ": ", text, " is 0; leave out a tensor without elements"));
  }
  if (!term.name.empty() && !Has(term.name)) {
    sizes_[term.name] = size - term.more;
    from_[term.name] =
        std::string(absl::string_view(what).substr(0, what.find(' ')));
    return absl::OkStatus();
  }
  const int64_t known = term.name.empty() ? 0 : Get(term.name);
  if (known + term.more == size) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": ", text, " is ", size, "; ", Needs(pattern)));
}

absl::Status ShapeSizes::BindLeading(const std::string& what,
                                     const std::vector<int64_t>& sizes) {
  for (int64_t size : sizes) {
    if (size < 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          what, ": a size is 0; leave out a tensor without elements"));
    }
  }
  if (has_leading_ && sizes != leading_) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": needs the leading sizes [",
                     absl::StrJoin(leading_, ", "), "] of the others"));
  }
  leading_ = sizes;
  has_leading_ = true;
  return absl::OkStatus();
}

absl::Status ShapeSizes::Bind(const std::string& what,
                              const std::string& pattern,
                              const std::vector<int64_t>& shape) {
  for (const std::string& alternative : AlternativeShapes(pattern)) {
    const std::vector<std::string> terms = Terms(alternative);
    if (!Fits(terms, shape.size())) continue;
    if (shape.empty()) return absl::OkStatus();
    size_t leading = 0;
    if (terms[0] == "*") {
      leading = shape.size() + 1 - terms.size();
      RETURN_IF_ERROR(
          BindLeading(what, {shape.begin(), shape.begin() + leading}));
    }
    for (size_t i = leading; i < shape.size(); ++i) {
      RETURN_IF_ERROR(BindSize(what, alternative,
                               terms[i - leading + (terms[0] == "*" ? 1 : 0)],
                               shape[i]));
    }
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(what, ": ", Needs(pattern)));
}

std::vector<int64_t> ShapeSizes::ShapeOf(const std::string& pattern) const {
  std::vector<int64_t> shape;
  for (const std::string& text : Terms(pattern)) {
    if (text == "*") {
      shape.insert(shape.end(), leading_.begin(), leading_.end());
      continue;
    }
    const Term term = ParseTerm(text);
    shape.push_back((term.name.empty() ? 0 : Get(term.name)) + term.more);
  }
  return shape;
}

}  // namespace longspan::cli

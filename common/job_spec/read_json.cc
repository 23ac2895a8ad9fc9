#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/job_spec/spec_node.h"

namespace longspan {
namespace {

// An input iterator that tells how far the parser has read: nlohmann's SAX
// events carry no position.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** furthest)
      : at_(at), furthest_(furthest) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    if (furthest_ != nullptr) *furthest_ = at_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const {
    return at_ == other.at_;
  }
  bool operator!=(const CountingIterator& other) const {
    return at_ != other.at_;
  }

 private:
  const char* at_;
  const char** furthest_;
};

SpecPosition PositionAt(std::string_view content, size_t offset) {
  std::string_view before = content.substr(0, offset);
  size_t line_start = before.rfind('\n') + 1;  // npos + 1 == 0
  return {static_cast<int>(1 + std::count(before.begin(), before.end(), '\n')),
          static_cast<int>(1 + before.size() - line_start)};
}

class TreeHandler final : public nlohmann::json_sax<nlohmann::json> {
 public:
  TreeHandler(std::string_view content, const char* const* furthest,
              SpecNode* root, std::vector<SpecViolation>* violations)
      : content_(content),
        furthest_(furthest),
        root_(root),
        violations_(violations) {}

  bool null() override { return Scalar(SpecNode::Kind::kNull, "null"); }
  bool boolean(bool value) override {
    return Scalar(SpecNode::Kind::kBool, value ? "true" : "false");
  }
  bool number_integer(number_integer_t value) override {
    return Number(absl::StrCat(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return Number(absl::StrCat(value));
  }
  bool number_float(number_float_t, const string_t& text) override {
    return Number(text);
  }
  bool string(string_t& value) override {
    return Scalar(SpecNode::Kind::kString, value);
  }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return Open(SpecNode::Kind::kMap); }
  bool start_array(std::size_t) override { return Open(SpecNode::Kind::kList); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool key(string_t& value) override {
    SpecNode* map = open_.back();
    map->entries.push_back({value, PositionOfToken(value.size() + 2), {}});
    return true;
  }
  bool parse_error(std::size_t offset, const std::string&,
                   const nlohmann::json::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2:
    // syntax error ...": the place is ours, the reason is theirs.
    std::string reason = error.what();
    size_t colon = reason.find(": ");
    if (colon != std::string::npos) reason = reason.substr(colon + 2);
    return Fail("not JSON: " + reason,
                PositionAt(content_, offset > 0 ? offset - 1 : 0));
  }

 private:
  size_t Offset() const {
    return static_cast<size_t>(*furthest_ - content_.data());
  }

  // Where the token that ends at the reading position starts.
  SpecPosition PositionOfToken(size_t length) const {
    size_t end = Offset();
    return PositionAt(content_, end >= length ? end - length : 0);
  }

  bool Fail(const std::string& message, SpecPosition at) {
    violations_->push_back({"", message, at.line, at.column});
    return false;
  }

  // Null when the tree is too large.
  SpecNode* Add(SpecNode::Kind kind, SpecPosition at) {
    if (static_cast<int>(open_.size()) > kMaxSpecDepth ||
        ++count_ > kMaxSpecNodes) {
      Fail(absl::StrCat("the file nests deeper than ", kMaxSpecDepth,
                        " or has more than ", kMaxSpecNodes, " values"),
           at);
      return nullptr;
    }
    SpecNode* node = root_;
    if (!open_.empty() && open_.back()->kind == SpecNode::Kind::kMap) {
      node = &open_.back()->entries.back().value;
    } else if (!open_.empty()) {
      node = &open_.back()->items.emplace_back();
    }
    node->kind = kind;
    node->position = at;
    return node;
  }

  bool Scalar(SpecNode::Kind kind, const std::string& text) {
    size_t quotes = kind == SpecNode::Kind::kString ? 2 : 0;
    SpecNode* node = Add(kind, PositionOfToken(text.size() + quotes));
    if (node == nullptr) return false;
    node->text = text;
    return true;
  }

  bool Number(const std::string& text) {
    // The scanner has read one character past the number, unless it ended.
    size_t past =
        Offset() > 0 && !absl::ascii_isdigit(
                            static_cast<unsigned char>(content_[Offset() - 1]))
            ? 1
            : 0;
    SpecNode* node =
        Add(SpecNode::Kind::kNumber, PositionOfToken(text.size() + past));
    if (node == nullptr) return false;
    node->text = text;
    return true;
  }

  bool Open(SpecNode::Kind kind) {
    SpecNode* node = Add(kind, PositionOfToken(1));
    if (node == nullptr) return false;
    open_.push_back(node);
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  std::string_view content_;
  const char* const* furthest_;
  SpecNode* root_;
  std::vector<SpecViolation>* violations_;
  std::vector<SpecNode*> open_;
  int count_ = 0;
};

}  // namespace

bool ReadJson(std::string_view content, SpecNode* root,
              std::vector<SpecViolation>* violations) {
  const char* furthest = content.data();
  TreeHandler handler(content, &furthest, root, violations);
  try {
    return nlohmann::json::sax_parse(
        CountingIterator(content.data(), &furthest),
        CountingIterator(content.data() + content.size(), nullptr), &handler);
  } catch (const std::exception& error) {
    violations->push_back({"", absl::StrCat("not JSON: ", error.what())});
  }
  return false;
}

}  // namespace longspan

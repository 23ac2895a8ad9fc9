#include <yaml-cpp/yaml.h>

#include <exception>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/job_spec/spec_node.h"

namespace longspan {
namespace {

SpecPosition PositionOf(const YAML::Mark& mark) {
  return {mark.line + 1, mark.column + 1};
}

// Copies yaml-cpp's nodes. Aliases are shared there and copied here, so the
// count is limited as well as the depth.
class TreeBuilder {
 public:
  // False when the tree is too large.
  bool Build(const YAML::Node& from, int depth, SpecNode* to) {
    if (depth > kMaxSpecDepth || ++count_ > kMaxSpecNodes) return false;
    to->position = PositionOf(from.Mark());
    if (from.IsMap()) return BuildMap(from, depth, to);
    if (from.IsSequence()) return BuildList(from, depth, to);
    if (!from.IsScalar()) return true;
    to->kind =
        from.Tag() == "!" ? SpecNode::Kind::kString : SpecNode::Kind::kPlain;
    to->text = from.Scalar();
    return true;
  }

 private:
  bool BuildMap(const YAML::Node& from, int depth, SpecNode* to) {
    to->kind = SpecNode::Kind::kMap;
    for (const auto& pair : from) {
      SpecNode::Entry entry;
      entry.key = pair.first.IsScalar() ? pair.first.Scalar() : "?";
      entry.position = PositionOf(pair.first.Mark());
      if (!Build(pair.second, depth + 1, &entry.value)) return false;
      to->entries.push_back(std::move(entry));
    }
    return true;
  }

  bool BuildList(const YAML::Node& from, int depth, SpecNode* to) {
    to->kind = SpecNode::Kind::kList;
    for (const YAML::Node& item : from) {
      to->items.emplace_back();
      if (!Build(item, depth + 1, &to->items.back())) return false;
    }
    return true;
  }

  int count_ = 0;
};

bool Load(std::string_view content, SpecNode* root,
          std::vector<SpecViolation>* violations) {
  std::vector<YAML::Node> documents = YAML::LoadAll(std::string(content));
  if (documents.size() > 1) {
    SpecPosition at = PositionOf(documents[1].Mark());
    violations->push_back({"",
                           absl::StrCat("the file has ", documents.size(),
                                        " YAML documents; a job is one"),
                           at.line, at.column});
    return false;
  }
  if (documents.empty()) return true;
  if (TreeBuilder().Build(documents[0], 0, root)) return true;
  violations->push_back(
      {"", absl::StrCat("the file nests deeper than ", kMaxSpecDepth,
                        " or has more than ", kMaxSpecNodes, " values")});
  return false;
}

}  // namespace

bool ReadYaml(std::string_view content, SpecNode* root,
              std::vector<SpecViolation>* violations) {
  try {
    return Load(content, root, violations);
  } catch (const YAML::Exception& error) {
    SpecPosition at = PositionOf(error.mark);
    violations->push_back(
        {"", absl::StrCat("not YAML: ", error.msg), at.line, at.column});
  } catch (const std::exception& error) {
    violations->push_back({"", absl::StrCat("not YAML: ", error.what())});
  }
  return false;
}

}  // namespace longspan

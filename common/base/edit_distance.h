// "Did you mean": the nearest known name to a mistyped one.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace longspan {

// Insertions, deletions, substitutions and swaps of neighbours that turn a
// into b.
int EditDistance(std::string_view a, std::string_view b);

// The candidate nearest to `name`, if it is near enough to be meant: at most
// a third of the longer name's length away. Ties go to the earlier one.
std::optional<std::string> ClosestName(
    std::string_view name, const std::vector<std::string>& candidates);

}  // namespace longspan

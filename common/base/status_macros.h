// Early return on an error value.
//
//   RETURN_IF_ERROR(expression);            // absl::Status
//   ASSIGN_OR_RETURN(auto x, expression);   // absl::StatusOr<T>
//
// Both return the status unchanged from the enclosing function, which must
// return absl::Status or absl::StatusOr<U>. An expression with commas outside
// parentheses is fine; a declaration with commas needs parentheses around it:
// ASSIGN_OR_RETURN((auto [a, b]), F()).
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define LONGSPAN_CONCAT_INNER(a, b) a##b
#define LONGSPAN_CONCAT(a, b) LONGSPAN_CONCAT_INNER(a, b)

#define LONGSPAN_STRIP_ECHO(...) LONGSPAN_STRIP_ECHO __VA_ARGS__
#define LONGSPAN_STRIP_LONGSPAN_STRIP_ECHO
#define LONGSPAN_STRIP_PASTE_INNER(a, ...) a##__VA_ARGS__
#define LONGSPAN_STRIP_PASTE(a, ...) LONGSPAN_STRIP_PASTE_INNER(a, __VA_ARGS__)
#define LONGSPAN_STRIP_EXPAND(...) \
  LONGSPAN_STRIP_PASTE(LONGSPAN_STRIP_, __VA_ARGS__)
// Removes one pair of parentheses around its argument, if there is one.
#define LONGSPAN_STRIP_PARENS(x) LONGSPAN_STRIP_EXPAND(LONGSPAN_STRIP_ECHO x)

#define RETURN_IF_ERROR(...)                            \
  do {                                                  \
    if (::absl::Status longspan_status = (__VA_ARGS__); \
        !longspan_status.ok()) {                        \
      return longspan_status;                           \
    }                                                   \
  } while (false)

#define ASSIGN_OR_RETURN(lhs, ...)                                             \
  LONGSPAN_ASSIGN_OR_RETURN(LONGSPAN_CONCAT(longspan_status_or_, __COUNTER__), \
                            lhs, (__VA_ARGS__))

#define LONGSPAN_ASSIGN_OR_RETURN(result, lhs, expression) \
  auto result = expression;                                \
  if (!result.ok()) return std::move(result).status();     \
  LONGSPAN_STRIP_PARENS(lhs) = *std::move(result)

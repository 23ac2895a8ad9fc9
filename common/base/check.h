// Broken invariants: print the condition, the values and the message to
// stderr and abort. For operating errors (files, peers, user input) return
// absl::Status instead.
//
//   LONGSPAN_CHECK(rank < size) << "in job " << job;
//   LONGSPAN_CHECK_EQ(a, b);    // prints both values; also NE LT LE GT GE
//   LONGSPAN_CHECK_OK(status);  // absl::Status or StatusOr
//
// The right-hand sides of << are evaluated only on failure.
#pragma once

#include <optional>
#include <ostream>
#include <sstream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace longspan::check_internal {

// Collects the message; its destructor prints and aborts.
class Failure {
 public:
  Failure(const char* file, int line, const std::string& what);
  [[noreturn]] ~Failure();
  Failure(const Failure&) = delete;
  Failure& operator=(const Failure&) = delete;

  std::ostream& stream() { return stream_; }

 private:
  std::ostringstream stream_;
};

// Turns a stream expression into void, so that both branches of ?: agree.
struct Voidify {
  void operator&(std::ostream&) const {}
};

template <typename A, typename B>
std::string Describe(const char* expression, const A& a, const B& b) {
  std::ostringstream out;
  out << expression << " (" << a << " vs. " << b << ")";
  return out.str();
}

#define LONGSPAN_DEFINE_COMPARE(name, op)                            \
  template <typename A, typename B>                                  \
  std::optional<std::string> Compare##name(const A& a, const B& b,   \
                                           const char* expression) { \
    if (a op b) [[likely]]                                           \
      return std::nullopt;                                           \
    return Describe(expression, a, b);                               \
  }
LONGSPAN_DEFINE_COMPARE(EQ, ==)
LONGSPAN_DEFINE_COMPARE(NE, !=)
LONGSPAN_DEFINE_COMPARE(LT, <)
LONGSPAN_DEFINE_COMPARE(LE, <=)
LONGSPAN_DEFINE_COMPARE(GT, >)
LONGSPAN_DEFINE_COMPARE(GE, >=)
#undef LONGSPAN_DEFINE_COMPARE

std::optional<std::string> CompareOk(const absl::Status& status,
                                     const char* expression);
template <typename T>
std::optional<std::string> CompareOk(const absl::StatusOr<T>& result,
                                     const char* expression) {
  return CompareOk(result.status(), expression);
}

}  // namespace longspan::check_internal

#define LONGSPAN_CHECK(condition)                                           \
  (condition) ? (void)0                                                     \
              : ::longspan::check_internal::Voidify() &                     \
                    ::longspan::check_internal::Failure(__FILE__, __LINE__, \
                                                        #condition)         \
                        .stream()

#define LONGSPAN_CHECK_COMPARE(name, op, a, b)                               \
  while (auto longspan_failure = ::longspan::check_internal::Compare##name(  \
             (a), (b), #a " " #op " " #b))                                   \
  ::longspan::check_internal::Failure(__FILE__, __LINE__, *longspan_failure) \
      .stream()

#define LONGSPAN_CHECK_EQ(a, b) LONGSPAN_CHECK_COMPARE(EQ, ==, a, b)
#define LONGSPAN_CHECK_NE(a, b) LONGSPAN_CHECK_COMPARE(NE, !=, a, b)
#define LONGSPAN_CHECK_LT(a, b) LONGSPAN_CHECK_COMPARE(LT, <, a, b)
#define LONGSPAN_CHECK_LE(a, b) LONGSPAN_CHECK_COMPARE(LE, <=, a, b)
#define LONGSPAN_CHECK_GT(a, b) LONGSPAN_CHECK_COMPARE(GT, >, a, b)
#define LONGSPAN_CHECK_GE(a, b) LONGSPAN_CHECK_COMPARE(GE, >=, a, b)

#define LONGSPAN_CHECK_OK(status)                                            \
  while (auto longspan_failure =                                             \
             ::longspan::check_internal::CompareOk((status), #status))       \
  ::longspan::check_internal::Failure(__FILE__, __LINE__, *longspan_failure) \
      .stream()

// Log lines with named fields, to stderr.
//
//   LogInfo("job accepted", {{"job", id}, {"ranks", 4}});
//
// as text          I 08:15:00.123 job accepted job=j-17 ranks=4
// or as JSON       {"time":"2026-01-02T08:15:00.123Z","level":"info",
//                   "component":"...","message":"job accepted","job":"j-17",
//                   "ranks":4}
//
// JSON lines are objects whose keys are unique and whose bytes are UTF-8, on
// one line whatever the message holds; each is written by one write(2). Field
// names that mean the same everywhere: job (its full name), attempt, rank,
// step (steps done), worker.
//
// Thread-safe. Works before ConfigureLogging (text, from info up). Never log
// secrets, prompts or generated text.
#pragma once

#include <concepts>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace longspan {

enum class LogSeverity { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };

// A name and a value; the value keeps whether JSON shows it quoted.
struct LogField {
  LogField(std::string_view key, std::string_view value)
      : key(key), value(value), quoted(true) {}
  LogField(std::string_view key, const std::string& value)
      : key(key), value(value), quoted(true) {}
  LogField(std::string_view key, const char* value)
      : key(key), value(value), quoted(true) {}
  LogField(std::string_view key, bool value)
      : key(key), value(value ? "true" : "false"), quoted(false) {}
  LogField(std::string_view key, double value);
  template <std::integral T>
  LogField(std::string_view key, T value)
      : key(key), value(std::to_string(value)), quoted(false) {}

  std::string_view key;
  std::string value;
  bool quoted;
};

using LogFields = std::initializer_list<LogField>;

void Log(LogSeverity severity, std::string_view message, LogFields fields = {});
void LogDebug(std::string_view message, LogFields fields = {});
void LogInfo(std::string_view message, LogFields fields = {});
void LogWarning(std::string_view message, LogFields fields = {});
void LogError(std::string_view message, LogFields fields = {});

struct LogOptions {
  LogFormat format = LogFormat::kText;
  LogSeverity least = LogSeverity::kInfo;
  std::string component;  // in every JSON line: "coordinator", "worker", ...
  // Receives each finished line, without newline, instead of stderr. Called
  // by one thread at a time; must not log.
  std::function<void(std::string_view line)> sink;
};

// Replaces the process-wide configuration. Call it from main, before threads
// that log; tests may call it again.
void ConfigureLogging(const LogOptions& options);

// Puts the field into every later JSON line of this process, in place of one
// with the same key; a line's own field of that key goes before it. For what a
// process is about (an executor's job, attempt and rank) and where it stands
// (its step). Text lines leave it out. The key must be a literal.
void SetLogContext(const LogField& field);
void ClearLogContext();

// The values of --log-format (text, json) and --log-level (debug, info,
// warning, error).
absl::StatusOr<LogFormat> ParseLogFormat(std::string_view text);
absl::StatusOr<LogSeverity> ParseLogSeverity(std::string_view text);

}  // namespace longspan

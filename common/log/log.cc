#include "common/log/log.h"

#include <cmath>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "spdlog/pattern_formatter.h"
#include "spdlog/sinks/base_sink.h"
#include "spdlog/sinks/stdout_color_sinks.h"
#include "spdlog/spdlog.h"

namespace longspan {
namespace {

class FunctionSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FunctionSink(std::function<void(std::string_view)> function)
      : function_(std::move(function)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    function_(std::string_view(line.data(), line.size()));
  }
  void flush_() override {}

 private:
  std::function<void(std::string_view)> function_;
};

// The logger and the format of its message part, replaced as one.
struct Logging {
  std::shared_ptr<spdlog::logger> logger;
  LogFormat format = LogFormat::kText;
};

spdlog::level::level_enum Level(LogSeverity severity) {
  switch (severity) {
    case LogSeverity::kDebug:
      return spdlog::level::debug;
    case LogSeverity::kInfo:
      return spdlog::level::info;
    case LogSeverity::kWarning:
      return spdlog::level::warn;
    case LogSeverity::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// Quotes only what would be ambiguous to the eye; keeps lines single.
std::string TextValue(std::string_view value) {
  const bool plain =
      !value.empty() && value.find_first_of(" \"=\\") == std::string_view::npos;
  for (const char c : value) {
    if (static_cast<unsigned char>(c) < 0x20) return Quoted(value);
  }
  return plain ? std::string(value) : Quoted(value);
}

std::string OneLine(std::string_view message) {
  std::string out;
  for (const char c : message) {
    if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) >= 0x20) {
      out += c;
    }
  }
  return out;
}

std::string TextBody(std::string_view message, LogFields fields) {
  std::string body = OneLine(message);
  for (const LogField& field : fields) {
    absl::StrAppend(&body, " ", std::string(field.key), "=",
                    TextValue(field.value));
  }
  return body;
}

std::string JsonBody(std::string_view message, LogFields fields) {
  std::string body = absl::StrCat("\"message\":", Quoted(message));
  for (const LogField& field : fields) {
    absl::StrAppend(&body, ",", Quoted(field.key), ":",
                    field.quoted ? Quoted(field.value) : field.value);
  }
  return body;
}

std::string Pattern(const LogOptions& options) {
  if (options.format == LogFormat::kText) return "%^%L%$ %H:%M:%S.%e %v";
  std::string program;
  for (const char c : Quoted(options.program)) {
    program += c == '%' ? std::string("%%") : std::string(1, c);
  }
  return absl::StrCat(
      "{\"time\":\"%Y-%m-%dT%H:%M:%S.%eZ\",\"severity\":\"%l\",\"program\":",
      program, ",%v}");
}

std::shared_ptr<const Logging> MakeLogging(const LogOptions& options) {
  std::shared_ptr<spdlog::sinks::sink> sink;
  if (options.sink) {
    sink = std::make_shared<FunctionSink>(options.sink);
  } else {
    sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  }
  auto logging = std::make_shared<Logging>();
  logging->format = options.format;
  logging->logger = std::make_shared<spdlog::logger>("longspan", sink);
  logging->logger->set_level(Level(options.least));
  logging->logger->flush_on(spdlog::level::debug);
  logging->logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      Pattern(options), spdlog::pattern_time_type::utc,
      options.sink ? "" : "\n"));
  return logging;
}

// Never destroyed: threads may log while the process exits.
std::shared_ptr<const Logging>& Current() {
  static auto* current =
      new std::shared_ptr<const Logging>(MakeLogging(LogOptions()));
  return *current;
}

void Write(LogSeverity severity, std::string_view message, LogFields fields) {
  const std::shared_ptr<const Logging> logging = std::atomic_load(&Current());
  const spdlog::level::level_enum level = Level(severity);
  if (!logging->logger->should_log(level)) return;
  const std::string body = logging->format == LogFormat::kText
                               ? TextBody(message, fields)
                               : JsonBody(message, fields);
  logging->logger->log(level, spdlog::string_view_t(body));
}

}  // namespace

LogField::LogField(std::string_view key, double value)
    : key(key),
      value(absl::StrFormat("%.9g", value)),
      // JSON has no infinities.
      quoted(!std::isfinite(value)) {}

void LogDebug(std::string_view message, LogFields fields) {
  Write(LogSeverity::kDebug, message, fields);
}
void LogInfo(std::string_view message, LogFields fields) {
  Write(LogSeverity::kInfo, message, fields);
}
void LogWarning(std::string_view message, LogFields fields) {
  Write(LogSeverity::kWarning, message, fields);
}
void LogError(std::string_view message, LogFields fields) {
  Write(LogSeverity::kError, message, fields);
}

void ConfigureLogging(const LogOptions& options) {
  std::atomic_store(&Current(), MakeLogging(options));
}

absl::StatusOr<LogFormat> ParseLogFormat(std::string_view text) {
  if (text == "text") return LogFormat::kText;
  if (text == "json") return LogFormat::kJson;
  return absl::InvalidArgumentError(absl::StrCat(
      "log format '", std::string(text), "' is unknown; use text or json"));
}

absl::StatusOr<LogSeverity> ParseLogSeverity(std::string_view text) {
  if (text == "debug") return LogSeverity::kDebug;
  if (text == "info") return LogSeverity::kInfo;
  if (text == "warning") return LogSeverity::kWarning;
  if (text == "error") return LogSeverity::kError;
  return absl::InvalidArgumentError(
      absl::StrCat("log level '", std::string(text),
                   "' is unknown; use debug, info, warning or error"));
}

}  // namespace longspan

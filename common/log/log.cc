#include "common/log/log.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/check_failure_printer.h"
#include "common/base/mutex.h"
#include "nlohmann/json.hpp"
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

// Bytes that are no UTF-8 become U+FFFD.
std::string JsonString(std::string_view text) {
  return nlohmann::json(text).dump(/*indent=*/-1, /*indent_char=*/' ',
                                   /*ensure_ascii=*/false,
                                   nlohmann::json::error_handler_t::replace);
}

// The fields of SetLogContext. Never destroyed, like the logger.
struct Context {
  Mutex mu;
  std::vector<LogField> fields GUARDED_BY(mu);
};

Context& SharedContext() {
  static auto* context = new Context;
  return *context;
}

bool Has(LogFields fields, std::string_view key) {
  return std::any_of(fields.begin(), fields.end(),
                     [&](const LogField& field) { return field.key == key; });
}

void AppendJson(const LogField& field, std::string* body) {
  absl::StrAppend(body, ",", JsonString(field.key), ":",
                  field.quoted ? JsonString(field.value) : field.value);
}

std::string JsonBody(std::string_view message, LogFields fields) {
  std::string body = absl::StrCat("\"message\":", JsonString(message));
  {
    Context& context = SharedContext();
    MutexLock lock(context.mu);
    for (const LogField& field : context.fields) {
      if (!Has(fields, field.key)) AppendJson(field, &body);
    }
  }
  for (const LogField& field : fields) AppendJson(field, &body);
  return body;
}

std::string Pattern(const LogOptions& options) {
  if (options.format == LogFormat::kText) return "%^%L%$ %H:%M:%S.%e %v";
  std::string component;
  for (const char c : JsonString(options.component)) {
    component += c == '%' ? std::string("%%") : std::string(1, c);
  }
  return absl::StrCat(
      "{\"time\":\"%Y-%m-%dT%H:%M:%S.%eZ\",\"level\":\"%l\",\"component\":",
      component, ",%v}");
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

void LogFailure(const std::string& message) { LogError(message); }

}  // namespace

LogField::LogField(std::string_view key, double value)
    : key(key),
      value(absl::StrFormat("%.9g", value)),
      // JSON has no infinities.
      quoted(!std::isfinite(value)) {}

void Log(LogSeverity severity, std::string_view message, LogFields fields) {
  const std::shared_ptr<const Logging> logging = std::atomic_load(&Current());
  const spdlog::level::level_enum level = Level(severity);
  if (!logging->logger->should_log(level)) return;
  const std::string body = logging->format == LogFormat::kText
                               ? TextBody(message, fields)
                               : JsonBody(message, fields);
  logging->logger->log(level, spdlog::string_view_t(body));
}

void LogDebug(std::string_view message, LogFields fields) {
  Log(LogSeverity::kDebug, message, fields);
}
void LogInfo(std::string_view message, LogFields fields) {
  Log(LogSeverity::kInfo, message, fields);
}
void LogWarning(std::string_view message, LogFields fields) {
  Log(LogSeverity::kWarning, message, fields);
}
void LogError(std::string_view message, LogFields fields) {
  Log(LogSeverity::kError, message, fields);
}

void ConfigureLogging(const LogOptions& options) {
  std::atomic_store(&Current(), MakeLogging(options));
  // As text, a failed check prints itself.
  SetCheckFailurePrinter(options.format == LogFormat::kJson ? LogFailure
                                                            : nullptr);
}

void SetLogContext(const LogField& field) {
  Context& context = SharedContext();
  MutexLock lock(context.mu);
  for (LogField& old : context.fields) {
    if (old.key != field.key) continue;
    old = field;
    return;
  }
  context.fields.push_back(field);
}

void ClearLogContext() {
  Context& context = SharedContext();
  MutexLock lock(context.mu);
  context.fields.clear();
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

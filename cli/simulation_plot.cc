#include "cli/simulation_plot.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "cli/format_simulation.h"
#include "common/base/units.h"

namespace longspan::cli {
namespace {

constexpr double kWidth = 420, kHeight = 300;  // of a panel
constexpr double kLeft = 70, kRight = 15, kTop = 30, kBottom = 45;
constexpr double kLegend = 50;
constexpr const char* kColours[] = {"#1f77b4", "#ff7f0e", "#8c564b",
                                    "#2ca02c", "#9467bd", "#d62728",
                                    "#7f7f7f", "#bcbd22", "#17becf"};

using Curve = std::vector<std::pair<double, double>>;

struct Panel {
  std::string title;
  std::string x_name;
  std::vector<double> xs;
  std::vector<Curve> curves;  // by method
  std::function<std::string(double)> x_text;
  std::function<std::string(double)> y_text;
  double base = 10;  // of the ticks of y
};

// A logarithmic axis from whole powers of its base to whole powers.
class LogAxis {
 public:
  LogAxis(double low, double high, double from, double to)
      : low_(std::log(low)), high_(std::log(high)), from_(from), to_(to) {}
  double At(double value) const {
    const double span = std::max(high_ - low_, 1e-9);
    return from_ + (std::log(value) - low_) / span * (to_ - from_);
  }

 private:
  double low_, high_, from_, to_;
};

std::string Text(double x, double y, const char* anchor,
                 const std::string& text) {
  return absl::StrFormat(
      "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y,
      anchor, text);
}

std::string Line(double x1, double y1, double x2, double y2) {
  return absl::StrFormat("<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"#ddd\"/>\n",
                         x1, y1, x2, y2);
}

std::pair<double, double> Bounds(const Panel& panel) {
  double low = 1e300, high = 0;
  for (const Curve& curve : panel.curves) {
    for (const auto& [x, y] : curve) {
      low = std::min(low, y);
      high = std::max(high, y);
    }
  }
  if (high == 0) return {1, panel.base};
  const double unit = std::log(panel.base);
  const double bottom = std::floor(std::log(low) / unit + 1e-9);
  const double top = std::ceil(std::log(high) / unit - 1e-9);
  return {std::pow(panel.base, bottom),
          std::pow(panel.base, std::max(top, bottom + 1))};
}

std::string DrawCurve(const Curve& curve, const LogAxis& x, const LogAxis& y,
                      const char* colour) {
  std::string path, dots;
  for (const auto& [at, value] : curve) {
    absl::StrAppendFormat(&path, "%s%.1f %.1f", path.empty() ? "M" : "L",
                          x.At(at), y.At(value));
    absl::StrAppendFormat(
        &dots, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2\" fill=\"%s\"/>\n",
        x.At(at), y.At(value), colour);
  }
  return absl::StrCat("<path d=\"", path, "\" fill=\"none\" stroke=\"", colour,
                      "\" stroke-width=\"1.5\"/>\n", dots);
}

std::string DrawPanel(const Panel& panel, double left, double top) {
  const auto [low, high] = Bounds(panel);
  const LogAxis x(panel.xs.front(), std::max(panel.xs.back(), panel.xs[0] + 1),
                  left + kLeft, left + kWidth - kRight);
  const LogAxis y(low, high, top + kHeight - kBottom, top + kTop);
  std::string out =
      Text(left + kWidth / 2, top + kTop - 12, "middle", panel.title);
  for (double value : panel.xs) {
    out += Line(x.At(value), y.At(low), x.At(value), y.At(high));
    out += Text(x.At(value), y.At(low) + 15, "middle", panel.x_text(value));
  }
  out += Text(left + kWidth / 2, y.At(low) + 32, "middle", panel.x_name);
  for (double value = low; value <= high * 1.001; value *= panel.base) {
    out += Line(left + kLeft, y.At(value), left + kWidth - kRight, y.At(value));
    out += Text(left + kLeft - 6, y.At(value) + 4, "end", panel.y_text(value));
  }
  for (size_t i = 0; i < panel.curves.size(); ++i) {
    if (panel.curves[i].empty()) continue;
    out += DrawCurve(panel.curves[i], x, y, kColours[i % std::size(kColours)]);
  }
  return out;
}

// ---- What is shown.

using Quantity = std::function<double(const MethodCost&)>;

Panel MakePanel(const SweepRequest& request,
                const std::vector<SweepPoint>& points, bool against_ranks,
                bool memory) {
  Panel panel;
  panel.base = memory ? 2 : 10;
  const Quantity quantity = [memory](const MethodCost& cost) {
    return memory ? static_cast<double>(cost.memory_bytes) : cost.total_s;
  };
  panel.y_text = [memory](double value) {
    return memory ? FormatBytes(std::llround(value))
                  : FormatElapsed(absl::Seconds(value));
  };
  panel.x_text = [](double value) { return CountText(std::llround(value)); };
  panel.x_name = against_ranks ? "ranks" : "tokens of the sequence";
  panel.title = absl::StrCat(
      memory ? "memory of a rank, " : "time of a step, ",
      against_ranks ? CountText(request.tokens.back()) + " tokens"
                    : absl::StrCat(request.ranks.back(), " ranks"));
  panel.curves.resize(request.methods.size());
  for (const SweepPoint& point : points) {
    const bool shown = against_ranks ? point.tokens == request.tokens.back()
                                     : point.ranks == request.ranks.back();
    if (!shown) continue;
    const double x =
        against_ranks ? point.ranks : static_cast<double>(point.tokens);
    panel.xs.push_back(x);
    for (size_t i = 0; i < point.entries.size(); ++i) {
      if (!point.entries[i].refusal.ok()) continue;
      panel.curves[i].push_back({x, quantity(point.entries[i].cost)});
    }
  }
  return panel;
}

std::string DrawLegend(const SweepRequest& request) {
  std::string out;
  double x = 12;
  for (size_t i = 0; i < request.methods.size(); ++i) {
    absl::StrAppendFormat(&out,
                          "<path d=\"M%.1f 20h18\" stroke=\"%s\" "
                          "stroke-width=\"3\"/>\n",
                          x, kColours[i % std::size(kColours)]);
    out += Text(x + 22, 24, "start",
                std::string(ExchangeMethodName(request.methods[i])));
    x += 91;
  }
  return out;
}

}  // namespace

std::string PlotSweep(const SweepRequest& request,
                      const std::vector<SweepPoint>& points) {
  const double width = 2 * kWidth, height = kLegend + 2 * kHeight;
  std::string out = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
      "font-family=\"sans-serif\" font-size=\"11\">\n"
      "<rect width=\"%.0f\" height=\"%.0f\" fill=\"white\"/>\n",
      width, height, width, height);
  out += DrawLegend(request);
  for (const bool memory : {false, true}) {
    const double top = kLegend + (memory ? kHeight : 0);
    out += DrawPanel(MakePanel(request, points, true, memory), 0, top);
    out += DrawPanel(MakePanel(request, points, false, memory), kWidth, top);
  }
  return out + "</svg>\n";
}

}  // namespace longspan::cli

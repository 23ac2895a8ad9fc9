// Prints docs/metrics.md.

#include <cstdio>

#include "common/metrics/metric_catalog.h"

int main() {
  std::fputs(longspan::MetricsMarkdown().c_str(), stdout);
  return 0;
}

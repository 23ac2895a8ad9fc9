// The coordinator's settings, with the defaults that the flags show.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "absl/time/time.h"
#include "coordinator/cluster/worker_table.h"
#include "coordinator/dispatch/assignment.h"
#include "coordinator/dispatch/next_events.h"

namespace longspan::coordinator {

struct CoreOptions {
  LeaseOptions leases;
  GangTimeouts gang;
  AssignmentOptions assignment;

  // A watcher that hears nothing for this long gets a bookmark.
  absl::Duration bookmark_interval = absl::Seconds(15);
  // Events that watchers can go back; older resume tokens are refused.
  size_t history_events = 10000;
  // Watchers see progress at most this often.
  absl::Duration progress_interval = absl::Milliseconds(100);

  size_t max_unfinished_jobs = 10000;
  // Finished jobs beyond either limit are deleted, oldest first.
  size_t max_finished_jobs = 5000;
  absl::Duration finished_retention = absl::Hours(30 * 24);

  // Makes job ids and secrets; cryptographically random by default.
  std::function<std::string(size_t bytes)> random_bytes;
};

// From the kernel's generator.
std::string SystemRandomBytes(size_t bytes);

}  // namespace longspan::coordinator

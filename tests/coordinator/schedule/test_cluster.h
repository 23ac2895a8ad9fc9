// Workers and waiting jobs in a line each.
#pragma once

#include <memory>
#include <string>

#include "coordinator/schedule/schedule.h"

namespace longspan::coordinator {

inline Worker MakeWorker(const std::string& name, int slots,
                         const std::string& kind = "cpu",
                         const std::string& build = "b1") {
  Worker worker;
  worker.name = name;
  worker.connection = 1;
  worker.info.build = build;
  worker.info.roots = {"corpus", "outputs"};
  if (kind == "cuda") worker.info.nccl_version = "2.28.9";
  for (int slot = 0; slot < slots; ++slot) {
    worker.info.devices.push_back(
        {slot, kind, "", int64_t{8} << 30, 4, "", "avx512"});
  }
  return worker;
}

inline Workers Cluster(std::initializer_list<Worker> list) {
  Workers workers;
  for (const Worker& worker : list) workers[worker.name] = worker;
  return workers;
}

inline void Occupy(Worker& worker, int slot, const std::string& job = "busy") {
  worker.uses[slot] = {MakeJobName("default", job), 1, 1, 0};
}

inline JobSnapshot Waiting(const std::string& id, int ranks,
                           int64_t created = 1, int priority = 0,
                           JobState state = JobState::kPending) {
  auto job = std::make_shared<Job>();
  job->name = MakeJobName("default", id);
  job->demand.ranks = ranks;
  job->demand.priority = priority;
  job->create_revision = created;
  job->state = state;
  return job;
}

}  // namespace longspan::coordinator

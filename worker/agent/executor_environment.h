// The environment of an executor: the daemon's, with what its job and its slot
// set in place of what was there. Pure.
#pragma once

#include <string>
#include <vector>

#include "longspan/v1/cluster.pb.h"
#include "longspan/v1/job.pb.h"

namespace longspan::worker {

// What a slot sets. A GPU slot sees its own device only, as ordinal 0. Ranks
// that share a GPU are told to NCCL as if each were alone on a host
// (NCCL_HOSTID) and exchange over sockets: a means for tests, not for speed.
std::vector<std::string> SlotEnvironment(const v1::WorkerInfo& info, int slot);

// "NAME=value", every name once: of `daemon`, then NCCL_* and GLOO_* of the
// job's env, then the slot's, the later one where a name comes twice. Other
// names of the job are left out.
std::vector<std::string> ExecutorEnvironment(
    const std::vector<std::string>& daemon, const v1::JobSpec& spec,
    const v1::WorkerInfo& info, int slot);

}  // namespace longspan::worker

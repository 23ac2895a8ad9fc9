// The kinds of group that run without special hardware, behind one call,
// so that every test of the contract runs on both.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "worker/collective/process_group.h"

namespace longspan::worker {

// Gloo groups of one host share memory, unless told not to.
enum class GroupKind { kThread, kGloo, kGlooTcp };

std::string GroupKindName(GroupKind kind);

// All ranks of one world, rank r at index r, in this process.
std::vector<std::unique_ptr<ProcessGroup>> MakeGroups(GroupKind kind, int size);

// Calls `body` for every rank in its own thread; statuses by rank. Groups are
// destroyed by their threads, as processes would.
std::vector<absl::Status> OnAllRanks(
    std::vector<std::unique_ptr<ProcessGroup>> groups,
    const std::function<absl::Status(ProcessGroup&)>& body);

}  // namespace longspan::worker

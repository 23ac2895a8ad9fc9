// A slower network around a group of CPU ranks, for benches and tests: data
// moves as the group moves it, but arrives no earlier than a network of that
// latency and bandwidth would bring it.
//
// Every rank has one link out. A message of b bytes that it hands over at time
// t of its own clock
//
//     leaves   when the link is free, which is then taken:
//              free = max(t, free) + b / bandwidth
//     arrives  at  free + latency
//
// and Wait() returns when everything that this rank receives has arrived. So a
// transfer proceeds from the call on, whatever the rank computes meanwhile; a
// message counts as sent when it is handed over (the link has a buffer), and
// links in are as wide as they must be. Collectives are the messages of
// gloo_group: to rank + 1, rank + 2, ... (modulo the ranks)
//
//     AllGather                 own part to everyone
//     AllToAll, ReduceScatter   every other rank's part to it
//     AllReduce                 small: all to everyone; else a ReduceScatter of
//                               W parts, and when that has arrived the sum of
//                               the own part to everyone (all_reduce_plan.h)
//     SendReceive               one message
//
// Messages without bytes are not sent, copies to oneself are free. What a rank
// issues while its AllReduce is in flight does not delay the second half.
//
// How a receiver knows: the sender computes the time of arrival and sends it
// along, eight bytes more over the real transport, which the counters leave
// out. No thread, no shared memory: ranks may be threads or processes of one
// machine.
//
// counters() has the inner group's bytes and launches, and the exposed time by
// the rank's clock. Deadlines and Abort() are the inner group's; an emulated
// delay is not cut short by them.
#pragma once

#include <memory>

#include "absl/time/time.h"
#include "worker/collective/process_group.h"
#include "worker/collective/rank_clock.h"

namespace longspan::worker {

struct EmulatedNetwork {
  absl::Duration latency;
  double bytes_per_second = 0;  // positive; may be infinite
};

// The same network on all ranks. `inner` and `clock` outlive the group and
// belong to it meanwhile.
std::unique_ptr<ProcessGroup> CreateEmulatedNetworkGroup(
    const EmulatedNetwork& network, ProcessGroup* inner, RankClock* clock);

}  // namespace longspan::worker

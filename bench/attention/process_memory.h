// Resident memory of this process, in MiB.
#pragma once

namespace longspan::bench {

double ResidentMiB();

// The most since the last call, or since the process began; the kernel forgets
// it where /proc/self/clear_refs may be written.
double TakePeakMiB();

}  // namespace longspan::bench

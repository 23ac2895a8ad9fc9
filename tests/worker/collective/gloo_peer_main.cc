// One rank of a Gloo group as a process of its own, for tests that kill it:
//
//   gloo_peer DIRECTORY RANK SIZE TIMEOUT_SECONDS BYTES
//
// AllGathers parts of BYTES until something fails; then prints the error and
// exits 0.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/support/rendezvous_stores.h"
#include "tests/worker/collective/endless_gather.h"
#include "worker/collective/gloo_group.h"

int main(int argc, char** argv) {
  using namespace longspan;
  if (argc != 6) return 2;
  testing::DirectoryRendezvousStore store(argv[1]);
  const auto error = worker::GatherUntilError(
      store, std::atoi(argv[2]), std::atoi(argv[3]),
      absl::Seconds(std::atoi(argv[4])), std::atoi(argv[5]));
  std::printf("%s\n", error.ToString().c_str());
  return 0;
}

// Ours of bench/run attention, one measurement at a time.
//
//     longspan-bench-attention --list            the cases, a line of JSON each
//     longspan-bench-attention --case NAME       answers requests on stdin
//
// A request is a line, and so is its answer:
//
//     forward, both               seconds of one forward pass, or of one
//                                 forward and backward pass
//     gemm forward, gemm both     seconds of as many products of a chunk as the
//                                 sequence has chunks (chunk_products.h)
//     gemm operations forward     operations that they do
//     gemm operations both
//     peak                        MiB, the most since the last such request,
//                                 above what was held before the operands
//
// Seconds are processor time of this process, so that a busy machine counts as
// little as it can; each answer is the mean of the calls that fit into
// --seconds, and of one at least.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <iostream>
#include <string>

#include "bench/attention/cases.h"
#include "bench/attention/chunk_products.h"
#include "bench/attention/process_memory.h"
#include "bench/attention/timed_case.h"

namespace longspan::bench {
namespace {

constexpr int64_t kChunkTokens = 64;

struct Options {
  bool list = false;
  std::string case_name;
  int64_t tokens_divisor = 1;
  double seconds = 0.05;
};

double ProcessSeconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return now.tv_sec + 1e-9 * now.tv_nsec;
}

double MeanSeconds(const std::function<void()>& run, double seconds) {
  const double begin = ProcessSeconds();
  double spent = 0.0;
  int calls = 0;
  do {
    run();
    ++calls;
    spent = ProcessSeconds() - begin;
  } while (spent < seconds);
  return spent / calls;
}

class Server {
 public:
  Server(const AttentionCase& c, double seconds)
      : seconds_(seconds),
        chunks_(c.tokens / kChunkTokens * c.heads),
        base_mib_(ResidentMiB()),
        ours_(c.group == AttentionGroup::kSoftmax ? TimedSoftmaxCase(c)
                                                  : TimedLinearCase(c)),
        forward_products_(ForwardProducts(c), c.group == AttentionGroup::kBf16),
        backward_products_(BackwardProducts(c),
                           c.group == AttentionGroup::kBf16) {
    TakePeakMiB();
  }

  // Negative for a request that does not exist.
  double Answer(const std::string& request) {
    if (request == "peak") return TakePeakMiB() - base_mib_;
    if (request == "gemm operations forward") {
      return chunks_ * forward_products_.Operations();
    }
    if (request == "gemm operations both") {
      return chunks_ *
             (forward_products_.Operations() + backward_products_.Operations());
    }
    if (request == "forward") return Seconds([&] { ours_->Forward(); });
    if (request == "both") return Seconds([&] { RunBoth(); });
    if (request == "gemm forward") {
      return Seconds([&] { forward_products_.Run(chunks_); });
    }
    if (request == "gemm both") return Seconds([&] { RunAllProducts(); });
    return -1.0;
  }

 private:
  double Seconds(const std::function<void()>& run) const {
    return MeanSeconds(run, seconds_);
  }

  void RunBoth() {
    ours_->Forward();
    ours_->Backward();
  }

  void RunAllProducts() {
    forward_products_.Run(chunks_);
    backward_products_.Run(chunks_);
  }

  const double seconds_;
  const int64_t chunks_;
  const double base_mib_;
  const std::unique_ptr<TimedCase> ours_;
  const ChunkProducts forward_products_, backward_products_;
};

int List(const Options& options) {
  for (const AttentionCase& c : AttentionCases(options.tokens_divisor)) {
    std::printf("%s\n", ToJson(c).c_str());
  }
  return 0;
}

int Serve(const Options& options) {
  for (const AttentionCase& c : AttentionCases(options.tokens_divisor)) {
    if (c.name != options.case_name) continue;
    Server server(c, options.seconds);
    std::string request;
    while (std::getline(std::cin, request)) {
      const double answer = server.Answer(request);
      if (answer < 0.0) {
        std::fprintf(stderr, "there is no request '%s'\n", request.c_str());
        return 2;
      }
      std::printf("%.9g\n", answer);
      std::fflush(stdout);
    }
    return 0;
  }
  std::fprintf(stderr, "no case is called '%s'; --list shows all\n",
               options.case_name.c_str());
  return 2;
}

bool Parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--list") {
      options.list = true;
    } else if (flag == "--case" && i + 1 < argc) {
      options.case_name = argv[++i];
    } else if (flag == "--tokens-divisor" && i + 1 < argc) {
      options.tokens_divisor = std::max(1, std::atoi(argv[++i]));
    } else if (flag == "--seconds" && i + 1 < argc) {
      options.seconds = std::atof(argv[++i]);
    } else {
      return false;
    }
  }
  return options.list || !options.case_name.empty();
}

}  // namespace
}  // namespace longspan::bench

int main(int argc, char** argv) {
  // oneDNN's threads are OpenMP's, whose number is read when it is loaded.
  const char* threads = std::getenv("OMP_NUM_THREADS");
  if (threads == nullptr || std::strcmp(threads, "1") != 0) {
    setenv("OMP_NUM_THREADS", "1", 1);
    execv("/proc/self/exe", argv);
    std::perror("cannot restart with OMP_NUM_THREADS=1");
    return 1;
  }
  longspan::bench::Options options;
  if (!Parse(argc, argv, options)) {
    std::fprintf(stderr,
                 "longspan-bench-attention --list | --case NAME "
                 "[--tokens-divisor N] [--seconds S]\n");
    return 2;
  }
  return options.list ? List(options) : Serve(options);
}

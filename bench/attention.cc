// Linear attention on one core against oneDNN's sgemm at the sizes of a chunk.
//
// Useful operations per token and head, whatever chunk the kernel chooses:
//     forward    64 (dk + dv) + 4 dk dv
//     backward  160 (dk + dv) + 8 dk dv
// The peer multiplies matrices of a 64-token chunk, in the mix that a chunk
// needs (64 x 64 x d, 64 x d x 64, 64 x d x d, d x d x 64), on operands that
// stay in cache, and counts all of its operations. Ours and the peer are timed
// in turn, in processor time of the one thread, and the medians compared.
#include <dnnl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "common/base/check.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "tests/support/attention/host_tensor.h"
#include "tests/support/attention/linear_attention_cases.h"
#include "tests/support/attention/linear_attention_problem.h"

namespace longspan::kernels {
namespace {

constexpr int64_t kChunkTokens = 64;

struct Options {
  int repeats = 9;
  std::string json_path;
  std::string filter;  // part of "forward identity 64"
};

struct Row {
  std::string transition;
  std::string direction;
  int64_t head_dim = 0;
  double ours_gflops = 0.0;
  double peer_gflops = 0.0;

  double ratio() const { return ours_gflops / peer_gflops; }
  std::string name() const {
    return direction + " " + transition + " " + std::to_string(head_dim);
  }
};

// Processor time of this thread, so that a busy machine does not count.
double ThreadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec + 1e-9 * now.tv_nsec;
}

double Seconds(const std::function<void()>& fn) {
  const double begin = ThreadSeconds();
  fn();
  return ThreadSeconds() - begin;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// One matrix product of a chunk: C [m, n] = op(A) op(B).
struct Product {
  int64_t m, n, k;
  char transpose_a, transpose_b;
};

std::vector<Product> ForwardProducts(int64_t d) {
  constexpr int64_t c = kChunkTokens;
  return {{c, c, d, 'N', 'T'},   // Q K^T
          {c, d, c, 'N', 'N'},   // P V
          {c, d, d, 'N', 'N'},   // Q S
          {d, d, c, 'T', 'N'}};  // K^T V
}

std::vector<Product> BackwardProducts(int64_t d) {
  constexpr int64_t c = kChunkTokens;
  return {{c, c, d, 'N', 'T'}, {c, c, d, 'N', 'T'},  // Q K^T, dO V^T
          {c, d, c, 'N', 'N'}, {c, d, c, 'T', 'N'},  // dP K, dP^T Q
          {c, d, c, 'T', 'N'}, {c, d, d, 'N', 'T'},  // P^T dO, dO S^T
          {c, d, d, 'N', 'T'}, {c, d, d, 'N', 'N'},  // V dS^T, K dS
          {d, d, c, 'T', 'N'}};                      // Q^T dO
}

// The peer: the products of one chunk, `chunks` times.
class Sgemm {
 public:
  Sgemm(std::vector<Product> products, int64_t head_dim)
      : products_(std::move(products)) {
    const int64_t largest =
        std::max(head_dim, kChunkTokens) * std::max(head_dim, kChunkTokens);
    for (HostTensor* tensor : {&a_, &b_, &c_}) {
      *tensor = HostTensor(DType::kF32, {largest});
      FillUniform(1, -1.0, 1.0, tensor->view());
    }
  }

  double Operations(int64_t chunks) const {
    double sum = 0.0;
    for (const Product& p : products_) sum += 2.0 * p.m * p.n * p.k;
    return sum * chunks;
  }

  void Run(int64_t chunks) const {
    const float* a = a_.view().data_as<float>();
    const float* b = b_.view().data_as<float>();
    float* c = c_.view().data_as<float>();
    for (int64_t i = 0; i < chunks; ++i) {
      for (const Product& p : products_) {
        LONGSPAN_CHECK(dnnl_sgemm(p.transpose_a, p.transpose_b, p.m, p.n, p.k,
                                  1.0f, a, p.transpose_a == 'N' ? p.k : p.m, b,
                                  p.transpose_b == 'N' ? p.n : p.k, 0.0f, c,
                                  p.n) == dnnl_success);
      }
    }
  }

 private:
  const std::vector<Product> products_;
  HostTensor a_, b_, c_;
};

const char* TransitionName(Transition transition) {
  constexpr const char* kNames[] = {"identity", "constant", "scalar", "vector"};
  return kNames[static_cast<int>(transition)];
}

double UsefulOperations(const LinearAttentionCase& c, bool forward) {
  const double sum = c.key_dim + c.value_dim;
  const double product = static_cast<double>(c.key_dim) * c.value_dim;
  const double per_token =
      forward ? 64 * sum + 4 * product : 160 * sum + 8 * product;
  return per_token * c.batch * c.tokens * c.heads;
}

// Output buffers and workspaces of a case, and the two calls that are timed.
class Ours {
 public:
  explicit Ours(const LinearAttentionCase& c)
      : problem_(c, DType::kF32),
        op_(CreateCpuLinearAttention()),
        stream_(1),
        o_(Like(c, c.value_dim)),
        d_q_(Like(c, c.key_dim)),
        d_k_(Like(c, c.key_dim)),
        d_v_(Like(c, c.value_dim)),
        d_log_gate_(problem_.LikeGates()),
        forward_workspace_(Workspace(LinearAttentionStage::kOutputs)),
        backward_workspace_(Workspace(LinearAttentionStage::kGradients)) {}

  void Forward() {
    LONGSPAN_CHECK_OK(op_->Outputs(problem_.inputs(), {}, ChunkTerms::kAll,
                                   {o_.view(), {}}, forward_workspace_.view(),
                                   stream_));
  }
  void Backward() {
    LONGSPAN_CHECK_OK(op_->Gradients(
        problem_.inputs(), {}, problem_.output_gradients(), ChunkTerms::kAll,
        {d_q_.view(), d_k_.view(), d_v_.view(), d_log_gate_.view(), {}},
        backward_workspace_.view(), stream_));
  }

 private:
  static HostTensor Like(const LinearAttentionCase& c, int64_t dim) {
    return HostTensor(DType::kF32, {c.batch, c.tokens, c.heads, dim});
  }
  HostTensor Workspace(LinearAttentionStage stage) const {
    return HostTensor::Workspace(LinearAttentionWorkspaceBytes(
        stage, problem_.shape(), BackendKind::kCpu, 1));
  }

  const LinearAttentionProblem problem_;
  const std::unique_ptr<LinearAttention> op_;
  CpuStream stream_;
  HostTensor o_, d_q_, d_k_, d_v_, d_log_gate_;
  HostTensor forward_workspace_, backward_workspace_;
};

Row RowOf(const LinearAttentionCase& c, bool forward) {
  Row row;
  row.transition = TransitionName(c.transition);
  row.direction = forward ? "forward" : "backward";
  row.head_dim = c.key_dim;
  return row;
}

void Measure(const LinearAttentionCase& c, bool forward, int repeats,
             Row& row) {
  Ours ours(c);
  const Sgemm peer(
      forward ? ForwardProducts(c.key_dim) : BackwardProducts(c.key_dim),
      c.key_dim);
  const int64_t chunks = c.tokens / kChunkTokens * c.heads;
  const auto run_ours = [&] { forward ? ours.Forward() : ours.Backward(); };
  std::vector<double> ours_seconds, peer_seconds;
  run_ours();
  peer.Run(chunks);
  for (int i = 0; i < repeats; ++i) {
    ours_seconds.push_back(Seconds(run_ours));
    peer_seconds.push_back(Seconds([&] { peer.Run(chunks); }));
  }
  row.ours_gflops = UsefulOperations(c, forward) / Median(ours_seconds) / 1e9;
  row.peer_gflops = peer.Operations(chunks) / Median(peer_seconds) / 1e9;
}

void WriteJson(const std::string& path, const std::vector<Row>& rows) {
  FILE* file = std::fopen(path.c_str(), "w");
  LONGSPAN_CHECK(file != nullptr) << "cannot write " << path;
  std::fprintf(file, "{\"bench\": \"attention\", \"rows\": [");
  const char* separator = "\n";
  for (const Row& row : rows) {
    std::fprintf(file,
                 "%s  {\"transition\": \"%s\", \"direction\": \"%s\", "
                 "\"head_dim\": %lld, \"ours_gflops\": %.2f, "
                 "\"peer_gflops\": %.2f}",
                 separator, row.transition.c_str(), row.direction.c_str(),
                 static_cast<long long>(row.head_dim), row.ours_gflops,
                 row.peer_gflops);
    separator = ",\n";
  }
  std::fprintf(file, "\n]}\n");
  std::fclose(file);
}

// The worst forward ratio at head sizes 64 and 128, but for vector gates, which
// do more than the products that are counted; null if none was measured.
const Row* Headline(const std::vector<Row>& rows) {
  const Row* worst = nullptr;
  for (const Row& row : rows) {
    if (row.direction != "forward" || row.head_dim < 64) continue;
    if (row.transition == "vector") continue;
    if (worst == nullptr || row.ratio() < worst->ratio()) worst = &row;
  }
  return worst;
}

void PrintUsage() {
  std::printf(
      "longspan-bench-attention [--repeats N] [--filter TEXT] "
      "[--json FILE]\n"
      "Linear attention on one core, f32, T=4096, H=8, against oneDNN's sgemm\n"
      "at the sizes of a 64-token chunk. --filter keeps rows whose name, such\n"
      "as 'forward identity 64', contains TEXT.\n");
}

int Main(const Options& options) {
  std::vector<Row> rows;
  std::printf("instruction set %s, 1 thread, f32, T=4096, H=8\n",
              InstructionSetName(BestInstructionSet()));
  std::printf("%-9s %-9s %4s %14s %14s %7s\n", "direction", "decay", "d",
              "ours GFLOP/s", "peer GFLOP/s", "ratio");
  for (const LinearAttentionCase& c : LinearAttentionBenchCases()) {
    for (bool forward : {true, false}) {
      Row row = RowOf(c, forward);
      if (row.name().find(options.filter) == std::string::npos) continue;
      Measure(c, forward, options.repeats, row);
      rows.push_back(row);
      std::printf("%-9s %-9s %4lld %14.1f %14.1f %7.2f\n",
                  row.direction.c_str(), row.transition.c_str(),
                  static_cast<long long>(row.head_dim), row.ours_gflops,
                  row.peer_gflops, row.ratio());
      std::fflush(stdout);
    }
  }
  if (!options.json_path.empty()) WriteJson(options.json_path, rows);
  const Row* headline = Headline(rows);
  if (headline == nullptr) return 0;
  std::printf("attention: ours %.1f GFLOP/s, peer %.1f GFLOP/s, ratio %.2f\n",
              headline->ours_gflops, headline->peer_gflops, headline->ratio());
  return 0;
}

}  // namespace
}  // namespace longspan::kernels

int main(int argc, char** argv) {
  // oneDNN's threads are OpenMP's, whose number is read when it is loaded.
  const char* threads = std::getenv("OMP_NUM_THREADS");
  if (threads == nullptr || std::strcmp(threads, "1") != 0) {
    setenv("OMP_NUM_THREADS", "1", 1);
    execv("/proc/self/exe", argv);
    std::perror("cannot restart with OMP_NUM_THREADS=1");
    return 1;
  }
  longspan::kernels::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--repeats" && i + 1 < argc) {
      options.repeats = std::max(1, std::atoi(argv[++i]));
    } else if (flag == "--filter" && i + 1 < argc) {
      options.filter = argv[++i];
    } else if (flag == "--json" && i + 1 < argc) {
      options.json_path = argv[++i];
    } else {
      longspan::kernels::PrintUsage();
      return flag == "--help" ? 0 : 2;
    }
  }
  return longspan::kernels::Main(options);
}

#include "tests/kernels/attention/thread_counts.h"

#include <memory>

#include "gtest/gtest.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"

namespace longspan::kernels {

void ExpectSameBitsWithThreads(const LinearAttentionProblem& problem,
                               Passes passes,
                               std::initializer_list<int> thread_counts) {
  const std::unique_ptr<LinearAttention> op = CreateCpuLinearAttention();
  const auto run = [&](int threads) {
    CpuStream stream(threads);
    return problem.Run(*op, stream, BackendKind::kCpu, threads, passes);
  };
  const LinearAttentionResults expected = run(1);
  for (int threads : thread_counts) {
    SCOPED_TRACE(threads);
    const LinearAttentionResults actual = run(threads);
    EXPECT_EQ(actual.o, expected.o);
    EXPECT_EQ(actual.final_state, expected.final_state);
    EXPECT_EQ(actual.summary_state, expected.summary_state);
    EXPECT_EQ(actual.summary_log_decay, expected.summary_log_decay);
    EXPECT_EQ(actual.summary_transition, expected.summary_transition);
    EXPECT_EQ(actual.d_summary_state, expected.d_summary_state);
    EXPECT_EQ(actual.d_q, expected.d_q);
    EXPECT_EQ(actual.d_k, expected.d_k);
    EXPECT_EQ(actual.d_v, expected.d_v);
    EXPECT_EQ(actual.d_log_gate, expected.d_log_gate);
    EXPECT_EQ(actual.d_beta, expected.d_beta);
    EXPECT_EQ(actual.d_initial_state, expected.d_initial_state);
  }
}

}  // namespace longspan::kernels

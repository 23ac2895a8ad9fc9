// The CPU backend's results do not depend on the number of threads.
#pragma once

#include <initializer_list>

#include "tests/support/attention/linear_attention_problem.h"

namespace longspan::kernels {

// Every result with so many threads is that of one thread, bit by bit.
void ExpectSameBitsWithThreads(const LinearAttentionProblem& problem,
                               Passes passes,
                               std::initializer_list<int> thread_counts);

}  // namespace longspan::kernels

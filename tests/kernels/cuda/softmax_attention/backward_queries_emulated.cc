// The kernels for the emulator.
#include "kernels/cuda/softmax_attention_backward_queries.cu"

// The kernels for the emulator.
#include "kernels/cuda/softmax_attention_forward.cu"

// The host side that needs no device.
#include "kernels/cuda/softmax_attention_call.cc"

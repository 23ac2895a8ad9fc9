#pragma once

// Words that mark device code, and the choice between the two forms of every
// primitive in this folder: the native one (nvcc, PTX) and the emulated one
// (any C++ compiler; its threads are run by tests/support/cuda_emulator).
//
//   LONGSPAN_DEVICE                   a function of device code
//   LONGSPAN_HOST_DEVICE              a function of both
//   LONGSPAN_KERNEL(threads, blocks)  a kernel: at most `threads` a block, at
//                                     least `blocks` blocks resident per SM
//   LONGSPAN_UNROLL                   before a loop with a constant count
//   LONGSPAN_NO_UNROLL                before a loop that is to stay one
//   LONGSPAN_CUDA_NATIVE              1 in the native form, else 0
//
// A kernel takes one struct by value and returns nothing:
//
//   LONGSPAN_KERNEL(256, 1) ScaleKernel(const ScaleParams p) { ... }

#if defined(__CUDACC__) && !defined(LONGSPAN_CUDA_EMULATED)
#define LONGSPAN_CUDA_NATIVE 1
#define LONGSPAN_DEVICE __device__ __forceinline__
#define LONGSPAN_HOST_DEVICE __host__ __device__ __forceinline__
#define LONGSPAN_KERNEL(threads, blocks) \
  __global__ void __launch_bounds__(threads, blocks)
#define LONGSPAN_UNROLL _Pragma("unroll")
#define LONGSPAN_NO_UNROLL _Pragma("unroll 1")
#else
#define LONGSPAN_CUDA_NATIVE 0
#define LONGSPAN_DEVICE inline
#define LONGSPAN_HOST_DEVICE inline
#define LONGSPAN_KERNEL(threads, blocks) void
#define LONGSPAN_UNROLL
#define LONGSPAN_NO_UNROLL
#endif

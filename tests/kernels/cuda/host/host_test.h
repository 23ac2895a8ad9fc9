#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/check.h"
#include "gtest/gtest.h"
#include "kernels/api/backend.h"
#include "kernels/cuda/cuda_backend.h"

namespace longspan::kernels::cuda {

// An emulated backend with one stream, and copies of small arrays.
class HostTest : public testing::Test {
 protected:
  HostTest() : backend_(Create()), stream_(NewStream()) {}

  static std::unique_ptr<Backend> Create() {
    auto backend = CreateCudaBackend(0);
    LONGSPAN_CHECK_OK(backend);
    return std::move(*backend);
  }

  std::unique_ptr<Stream> NewStream() {
    auto stream = backend_->CreateStream(1);
    LONGSPAN_CHECK_OK(stream);
    return std::move(*stream);
  }

  template <typename T>
  T* Upload(const std::vector<T>& values) {
    const int64_t bytes = static_cast<int64_t>(values.size() * sizeof(T));
    auto data = backend_->memory().Allocate(bytes);
    LONGSPAN_CHECK_OK(data);
    LONGSPAN_CHECK_OK(
        backend_->memory().CopyToDevice(values.data(), *data, bytes, *stream_));
    return static_cast<T*>(*data);
  }

  template <typename T>
  std::vector<T> Download(const T* data, int64_t count) {
    std::vector<T> values(static_cast<size_t>(count));
    LONGSPAN_CHECK_OK(backend_->memory().CopyToHost(
        data, values.data(), count * static_cast<int64_t>(sizeof(T)),
        *stream_));
    LONGSPAN_CHECK_OK(stream_->Synchronize());
    return values;
  }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace longspan::kernels::cuda

#include "tests/kernels/ops/op_case.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "common/base/check.h"
#include "common/base/random.h"
#include "kernels/api/bfloat16.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/reference/reference_ops.h"

namespace longspan::kernels {
namespace {

constexpr int64_t kGap = 3;
constexpr unsigned char kGapByte = 0xA5;
constexpr int64_t kMargin = 64;  // bytes on either side

class NullStream : public Stream {
 public:
  absl::Status Synchronize() override { return absl::OkStatus(); }
};

uint32_t HashOf(const std::string& text) {
  uint32_t hash = 2166136261u;
  for (unsigned char c : text) hash = (hash ^ c) * 16777619u;
  return hash;
}

TensorView ViewOf(void* data, DType type, const std::vector<int64_t>& s) {
  switch (s.size()) {
    case 1:
      return TensorView(data, type, {s[0]});
    case 2:
      return TensorView(data, type, {s[0], s[1]});
    case 3:
      return TensorView(data, type, {s[0], s[1], s[2]});
    case 4:
      return TensorView(data, type, {s[0], s[1], s[2], s[3]});
  }
  LONGSPAN_CHECK(false) << "rank " << s.size();
  return {};
}

void StoreElement(const TensorView& view, int64_t offset, double value) {
  switch (view.dtype()) {
    case DType::kF32:
      view.data_as<float>()[offset] = static_cast<float>(value);
      return;
    case DType::kF64:
      view.data_as<double>()[offset] = value;
      return;
    case DType::kBF16:
      view.data_as<BFloat16>()[offset] = ToBFloat16(static_cast<float>(value));
      return;
    case DType::kI32:
      view.data_as<int32_t>()[offset] = static_cast<int32_t>(value);
      return;
    case DType::kI64:
      view.data_as<int64_t>()[offset] = static_cast<int64_t>(value);
      return;
    default:
      LONGSPAN_CHECK(false) << DTypeName(view.dtype());
  }
}

double LoadElement(const TensorView& view, int64_t offset) {
  if (view.dtype() == DType::kF32) return view.data_as<float>()[offset];
  if (view.dtype() == DType::kF64) return view.data_as<double>()[offset];
  if (view.dtype() == DType::kBF16) {
    return ToFloat(view.data_as<BFloat16>()[offset]);
  }
  if (view.dtype() == DType::kI32) return view.data_as<int32_t>()[offset];
  return static_cast<double>(view.data_as<int64_t>()[offset]);
}

// fn(offset) of every element in row-major order.
template <typename Fn>
void ForEachOffset(const TensorView& view, const Fn& fn, int dim = 0,
                   int64_t offset = 0) {
  if (dim == view.rank()) return fn(offset);
  for (int64_t i = 0; i < view.size(dim); ++i) {
    ForEachOffset(view, fn, dim + 1, offset + i * view.stride(dim));
  }
}

// `count` normal numbers of single precision, so that both types compute from
// equal numbers. Drawn once: every case is run many times.
std::vector<double> Normals(uint64_t seed, const std::string& name,
                            int64_t count) {
  static auto* drawn =
      new std::map<std::pair<uint64_t, uint32_t>, std::vector<double>>;
  std::vector<double>& numbers = (*drawn)[{seed, HashOf(name)}];
  const RandomKey key{seed, RandomPurpose::kTest, HashOf(name)};
  for (int64_t i = static_cast<int64_t>(numbers.size()); i < count; ++i) {
    numbers.push_back(static_cast<float>(RandomNormal(key, i)));
  }
  return {numbers.begin(), numbers.begin() + count};
}

// Of `count` elements in row-major order.
std::vector<double> ValuesOf(const Operand& operand, uint64_t seed,
                             int64_t count) {
  if (operand.values.empty() && operand.role != Role::kOutput) {
    return Normals(seed, operand.name, count);
  }
  std::vector<double> values(count, std::numeric_limits<double>::quiet_NaN());
  const std::vector<double>& given = operand.values;
  for (int64_t i = 0; !given.empty() && i < count; ++i) {
    values[i] = given[i % given.size()];
  }
  return values;
}

char* Align64(void* pointer) {
  auto address = reinterpret_cast<uintptr_t>(pointer);
  return reinterpret_cast<char*>((address + 63) / 64 * 64);
}

}  // namespace

OpSet ReferenceOps() {
  return {BackendKind::kReference,           CreateReferenceDense(),
          CreateReferenceCrossEntropy(),     CreateReferenceElementwise(),
          CreateReferenceShortConvolution(), CreateReferenceOptimizer(),
          std::make_unique<NullStream>(),    CreateReferenceSampling(),
          CreateReferenceFeatureMaps(),      CreateReferenceTokenGates()};
}

OpSet CpuOps(int threads) {
  return {BackendKind::kCpu,
          CreateCpuDense(),
          CreateCpuCrossEntropy(),
          CreateCpuElementwise(),
          CreateCpuShortConvolution(),
          CreateCpuOptimizer(),
          std::make_unique<CpuStream>(threads),
          CreateCpuSampling(),
          CreateCpuFeatureMaps(),
          CreateCpuTokenGates()};
}

Operands::Operands(const std::vector<Operand>& operands, DType real_type,
                   uint64_t seed)
    : real_type_(real_type) {
  for (const Operand& operand : operands) {
    const bool real = !operand.fixed_type && (operand.type == DType::kF32 ||
                                              operand.type == DType::kF64);
    const DType type = real ? real_type : operand.type;
    std::vector<int64_t> stored = operand.shape;
    if (operand.strided) stored.back() += kGap;
    int64_t count = 1;
    for (int64_t size : stored) count *= size;
    const int64_t bytes = count * BytesPerElement(type) + 2 * kMargin + 64;
    Buffer buffer;
    buffer.memory = std::make_shared<std::vector<double>>(bytes / 8 + 1);
    std::memset(buffer.memory->data(), kGapByte, buffer.memory->size() * 8);
    char* data = Align64(buffer.memory->data()) + kMargin;
    buffer.view = ViewOf(data, type, stored);
    const int last = buffer.view.rank() - 1;
    buffer.view = buffer.view.Slice(last, 0, operand.shape.back());
    buffers_[operand.name] = buffer;
    const std::vector<double> values =
        ValuesOf(operand, seed, buffer.view.element_count());
    const double* from = values.data();
    ForEachOffset(buffer.view, [&](int64_t offset) {
      StoreElement(buffer.view, offset, *from++);
    });
  }
}

TensorView Operands::operator[](const std::string& name) const {
  const auto found = buffers_.find(name);
  return found == buffers_.end() ? TensorView() : found->second.view;
}

int64_t Operands::OffsetOf(const TensorView& view, int64_t flat) const {
  int64_t offset = 0;
  for (int dim = view.rank() - 1; dim >= 0; --dim) {
    offset += flat % view.size(dim) * view.stride(dim);
    flat /= view.size(dim);
  }
  return offset;
}

std::vector<double> Operands::Values(const std::string& name) const {
  const TensorView view = (*this)[name];
  std::vector<double> values;
  values.reserve(view.element_count());
  ForEachOffset(view, [&](int64_t offset) {
    values.push_back(LoadElement(view, offset));
  });
  return values;
}

void Operands::Set(const std::string& name, int64_t index, double value) {
  const TensorView view = (*this)[name];
  StoreElement(view, OffsetOf(view, index), value);
}

bool Operands::GapsUntouched() const {
  std::vector<Buffer> all = workspaces_;
  for (const auto& [name, buffer] : buffers_) all.push_back(buffer);
  for (const Buffer& buffer : all) {
    const int64_t width = BytesPerElement(buffer.view.dtype());
    const int64_t size = static_cast<int64_t>(buffer.memory->size()) * 8;
    const char* begin = reinterpret_cast<const char*>(buffer.memory->data());
    std::vector<char> owned(size, 0);
    const int64_t shift = static_cast<const char*>(buffer.view.data()) - begin;
    ForEachOffset(buffer.view, [&](int64_t offset) {
      std::fill_n(owned.begin() + shift + offset * width, width, 1);
    });
    for (int64_t i = 0; i < size; ++i) {
      if (!owned[i] && static_cast<unsigned char>(begin[i]) != kGapByte) {
        return false;
      }
    }
  }
  return true;
}

TensorView Operands::Workspace(int64_t bytes) {
  if (bytes == 0) return {};
  Buffer buffer;
  buffer.memory =
      std::make_shared<std::vector<double>>((bytes + 2 * kMargin + 64) / 8 + 1);
  std::memset(buffer.memory->data(), kGapByte, buffer.memory->size() * 8);
  char* data = Align64(buffer.memory->data()) + kMargin;
  std::memset(data, 0xFF, bytes);  // NaN
  buffer.view = TensorView(data, DType::kU8, {bytes});
  workspaces_.push_back(buffer);
  return buffer.view;
}

std::string OpCaseName(const std::string& op, const std::vector<int64_t>& shape,
                       bool strided) {
  std::string name = op;
  for (int64_t size : shape) name += "_" + std::to_string(size);
  return name + (strided ? "_strided" : "");
}

void PrintTo(const OpCase& op, std::ostream* out) { *out << op.name; }

namespace {

std::vector<OpCase>* Join(std::initializer_list<std::vector<OpCase>> parts) {
  auto* all = new std::vector<OpCase>;
  for (const std::vector<OpCase>& part : parts) {
    all->insert(all->end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace

const std::vector<OpCase>& OpCases() {
  static const auto* cases =
      Join({DenseOpCases(), ElementwiseCases(), ConvolutionCases(),
            OptimizerCases(), SamplingCases()});
  return *cases;
}

const std::vector<OpCase>& LargeOpCases() {
  static const auto* cases =
      Join({LargeDenseCases(), LargeElementwiseCases(), LargeConvolutionCases(),
            LargeOptimizerCases(), LargeSamplingCases()});
  return *cases;
}

}  // namespace longspan::kernels

#include <cublasLt.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>

#include "common/base/mutex.h"
#include "common/base/shared_library.h"
#include "common/base/status_macros.h"
#include "kernels/cuda/cuda_stream.h"
#include "kernels/cuda/gemm.h"

namespace longspan::kernels::cuda {
namespace {

// The functions that are used, under the types of the header.
struct CublasLt {
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtMatmul) matmul = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic = nullptr;
  decltype(&cublasLtMatmulDescCreate) descriptor_create = nullptr;
  decltype(&cublasLtMatmulDescDestroy) descriptor_destroy = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) descriptor_set = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) layout_create = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set = nullptr;
};

template <typename Function>
absl::Status Load(const SharedLibrary& library, const char* name,
                  Function* function) {
  ASSIGN_OR_RETURN(void* const symbol, library.Symbol(name));
  *function = reinterpret_cast<Function>(symbol);
  return absl::OkStatus();
}

absl::StatusOr<CublasLt> OpenCublasLt() {
  ASSIGN_OR_RETURN(const SharedLibrary library,
                   SharedLibrary::Open({.variable = "LONGSPAN_CUBLASLT_LIBRARY",
                                        .name = "libcublasLt.so.13",
                                        .wheel_directory = "nvidia/cu13/lib"}));
  CublasLt lt;
  RETURN_IF_ERROR(Load(library, "cublasLtCreate", &lt.create));
  RETURN_IF_ERROR(Load(library, "cublasLtMatmul", &lt.matmul));
  RETURN_IF_ERROR(
      Load(library, "cublasLtMatmulAlgoGetHeuristic", &lt.heuristic));
  RETURN_IF_ERROR(
      Load(library, "cublasLtMatmulDescCreate", &lt.descriptor_create));
  RETURN_IF_ERROR(
      Load(library, "cublasLtMatmulDescDestroy", &lt.descriptor_destroy));
  RETURN_IF_ERROR(
      Load(library, "cublasLtMatmulDescSetAttribute", &lt.descriptor_set));
  RETURN_IF_ERROR(
      Load(library, "cublasLtMatrixLayoutCreate", &lt.layout_create));
  RETURN_IF_ERROR(
      Load(library, "cublasLtMatrixLayoutDestroy", &lt.layout_destroy));
  RETURN_IF_ERROR(
      Load(library, "cublasLtMatmulPreferenceCreate", &lt.preference_create));
  RETURN_IF_ERROR(
      Load(library, "cublasLtMatmulPreferenceDestroy", &lt.preference_destroy));
  RETURN_IF_ERROR(Load(library, "cublasLtMatmulPreferenceSetAttribute",
                       &lt.preference_set));
  return lt;
}

// cuBLASLt's one place of errors; its codes are not those of the run time.
absl::Status Check(cublasStatus_t code, const std::string& call) {
  if (code == CUBLAS_STATUS_SUCCESS) return absl::OkStatus();
  const absl::StatusCode kind = code == CUBLAS_STATUS_NOT_SUPPORTED
                                    ? absl::StatusCode::kUnimplemented
                                    : absl::StatusCode::kInternal;
  return absl::Status(kind, "cuBLASLt: " + call + " failed with status " +
                                std::to_string(static_cast<int>(code)));
}

cudaDataType_t DataType(DType dtype) {
  return dtype == DType::kBF16 ? CUDA_R_16BF : CUDA_R_32F;
}

// Powers of two up to what cuBLASLt distinguishes.
uint32_t AlignmentOf(const void* data) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(data);
  return static_cast<uint32_t>(std::min<uintptr_t>(256, address & -address));
}

// Row-major c = op(a) op(b) is column-major c^T = op(b)^T op(a)^T on the same
// memory: "first" is b, "second" is a, and c has N rows and M columns.
struct Product {
  int device;
  int64_t rows;     // N
  int64_t columns;  // M
  int64_t depth;    // K
  bool transpose_first;
  bool transpose_second;
  int64_t first_stride;
  int64_t second_stride;
  int64_t result_stride;
  DType operand;
  DType result;
  bool accumulate;
  std::array<uint32_t, 3> alignment;  // first, second, result

  auto operator<=>(const Product&) const = default;

  std::string ToString() const {
    return "a product [" + std::to_string(columns) + ", " +
           std::to_string(depth) + "] x [" + std::to_string(depth) + ", " +
           std::to_string(rows) + "] of " + DTypeName(operand) + " to " +
           DTypeName(result);
  }
};

// A row stride of a matrix with one row may be anything, even too small.
int64_t LeadingStride(ConstTensorView view) {
  return std::max(view.stride(0), view.size(1));
}

Product ProductOf(ConstTensorView a, ConstTensorView b, ConstTensorView c,
                  const MatMulOptions& options, int device) {
  return {
      .device = device,
      .rows = c.size(1),
      .columns = c.size(0),
      .depth = a.size(options.transpose_a ? 0 : 1),
      .transpose_first = options.transpose_b,
      .transpose_second = options.transpose_a,
      .first_stride = LeadingStride(b),
      .second_stride = LeadingStride(a),
      .result_stride = LeadingStride(c),
      .operand = a.dtype(),
      .result = c.dtype(),
      .accumulate = options.accumulate,
      .alignment = {AlignmentOf(b.data()), AlignmentOf(a.data()),
                    AlignmentOf(c.data())},
  };
}

// What cuBLASLt wants for one kind of product: descriptors and an algorithm.
// The algorithm is chosen once, so that equal products give equal bits.
class Plan {
 public:
  explicit Plan(const CublasLt& lt) : lt_(lt) {}
  ~Plan() {
    if (descriptor_ != nullptr) lt_.descriptor_destroy(descriptor_);
    for (cublasLtMatrixLayout_t layout : layouts_) {
      if (layout != nullptr) lt_.layout_destroy(layout);
    }
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  absl::Status Make(cublasLtHandle_t handle, const Product& product) {
    RETURN_IF_ERROR(MakeDescriptor(product));
    RETURN_IF_ERROR(MakeLayouts(product));
    cublasLtMatmulPreference_t preference = nullptr;
    RETURN_IF_ERROR(Check(lt_.preference_create(&preference), "a preference"));
    const absl::Status chosen = Choose(handle, preference, product);
    lt_.preference_destroy(preference);
    return chosen;
  }

  absl::Status Run(cublasLtHandle_t handle, const void* first,
                   const void* second, void* result, bool accumulate,
                   CudaStream& stream) const {
    const float one = 1.0f;
    const float beta = accumulate ? 1.0f : 0.0f;
    return Check(
        lt_.matmul(handle, descriptor_, &one, first, layouts_[0], second,
                   layouts_[1], &beta, result, layouts_[2], result, layouts_[2],
                   &algorithm_, stream.scratch(), CudaStream::kScratchBytes,
                   static_cast<cudaStream_t>(stream.native_handle())),
        "a launch");
  }

 private:
  absl::Status SetTranspose(cublasLtMatmulDescAttributes_t attribute,
                            bool transpose) {
    const cublasOperation_t operation = transpose ? CUBLAS_OP_T : CUBLAS_OP_N;
    return Check(lt_.descriptor_set(descriptor_, attribute, &operation,
                                    sizeof(operation)),
                 "a transpose");
  }

  // f32 operands are multiplied as such, never as TF32.
  absl::Status MakeDescriptor(const Product& product) {
    RETURN_IF_ERROR(Check(
        lt_.descriptor_create(&descriptor_, CUBLAS_COMPUTE_32F, CUDA_R_32F),
        "a descriptor"));
    RETURN_IF_ERROR(
        SetTranspose(CUBLASLT_MATMUL_DESC_TRANSA, product.transpose_first));
    return SetTranspose(CUBLASLT_MATMUL_DESC_TRANSB, product.transpose_second);
  }

  absl::Status MakeLayout(int index, DType dtype, int64_t rows, int64_t columns,
                          int64_t stride) {
    return Check(lt_.layout_create(&layouts_[index], DataType(dtype),
                                   static_cast<uint64_t>(rows),
                                   static_cast<uint64_t>(columns), stride),
                 "a layout");
  }

  // Sizes as they lie in memory, before transposition.
  absl::Status MakeLayouts(const Product& p) {
    const bool first = p.transpose_first;
    const bool second = p.transpose_second;
    RETURN_IF_ERROR(MakeLayout(0, p.operand, first ? p.depth : p.rows,
                               first ? p.rows : p.depth, p.first_stride));
    RETURN_IF_ERROR(MakeLayout(1, p.operand, second ? p.columns : p.depth,
                               second ? p.depth : p.columns, p.second_stride));
    return MakeLayout(2, p.result, p.rows, p.columns, p.result_stride);
  }

  template <typename Value>
  absl::Status Prefer(cublasLtMatmulPreference_t preference,
                      cublasLtMatmulPreferenceAttributes_t attribute,
                      Value value) {
    return Check(
        lt_.preference_set(preference, attribute, &value, sizeof(value)),
        "a preference");
  }

  // Parts of a sum are added up in f32 in the workspace, in a fixed order.
  absl::Status Choose(cublasLtHandle_t handle,
                      cublasLtMatmulPreference_t preference,
                      const Product& product) {
    RETURN_IF_ERROR(Prefer(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                           static_cast<uint64_t>(CudaStream::kScratchBytes)));
    RETURN_IF_ERROR(
        Prefer(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
               static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE)));
    RETURN_IF_ERROR(Prefer(preference,
                           CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
                           product.alignment[0]));
    RETURN_IF_ERROR(Prefer(preference,
                           CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                           product.alignment[1]));
    RETURN_IF_ERROR(Prefer(preference,
                           CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
                           product.alignment[2]));
    RETURN_IF_ERROR(Prefer(preference,
                           CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
                           product.alignment[2]));
    cublasLtMatmulHeuristicResult_t found = {};
    int count = 0;
    RETURN_IF_ERROR(Check(
        lt_.heuristic(handle, descriptor_, layouts_[0], layouts_[1],
                      layouts_[2], layouts_[2], preference, 1, &found, &count),
        "choosing how to do " + product.ToString()));
    if (count == 0) {
      return absl::UnimplementedError("cuBLASLt does not do " +
                                      product.ToString());
    }
    algorithm_ = found.algo;
    return absl::OkStatus();
  }

  const CublasLt& lt_;
  cublasLtMatmulDesc_t descriptor_ = nullptr;
  std::array<cublasLtMatrixLayout_t, 3> layouts_ = {};  // first, second, c
  cublasLtMatmulAlgo_t algorithm_ = {};
};

class CublasLtGemm : public Gemm {
 public:
  absl::Status Run(ConstTensorView a, ConstTensorView b, TensorView c,
                   const MatMulOptions& options, Stream& stream) override {
    RETURN_IF_ERROR(CheckGemm(a, b, c, options));
    if (c.element_count() == 0) return absl::OkStatus();
    CudaStream& cuda_stream = CudaStream::Of(stream);
    const Product product = ProductOf(a, b, c, options, cuda_stream.device());
    MutexLock lock(mu_);
    RETURN_IF_ERROR(Open(product.device));
    ASSIGN_OR_RETURN(const Plan* const plan, PlanFor(product));
    return plan->Run(handles_[product.device], b.data(), a.data(), c.data(),
                     options.accumulate, cuda_stream);
  }

 private:
  absl::Status Open(int device) REQUIRES(mu_) {
    if (lt_.create == nullptr) {
      ASSIGN_OR_RETURN(lt_, OpenCublasLt());
    }
    cublasLtHandle_t& handle = handles_[device];
    if (handle != nullptr) return absl::OkStatus();
    return Check(lt_.create(&handle), "starting the library");
  }

  absl::StatusOr<const Plan*> PlanFor(const Product& product) REQUIRES(mu_) {
    std::unique_ptr<Plan>& plan = plans_[product];
    if (plan == nullptr) {
      auto made = std::make_unique<Plan>(lt_);
      RETURN_IF_ERROR(made->Make(handles_[product.device], product));
      plan = std::move(made);
    }
    return plan.get();
  }

  Mutex mu_;
  // Guarded by mu_. Handles live as long as the process: at its end the driver
  // may be gone before this object.
  CublasLt lt_ GUARDED_BY(mu_);
  std::map<int, cublasLtHandle_t> handles_ GUARDED_BY(mu_);
  std::map<Product, std::unique_ptr<Plan>> plans_ GUARDED_BY(mu_);
};

}  // namespace

std::unique_ptr<Gemm> CreateGemm() { return std::make_unique<CublasLtGemm>(); }

}  // namespace longspan::kernels::cuda

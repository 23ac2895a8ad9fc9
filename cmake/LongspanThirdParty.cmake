# Libraries of the system. Every one is used through an imported target, so
# that its headers count as system headers.
#
# Names for EXTERNAL: absl::*, protobuf::libprotobuf, gRPC::grpc++,
# gRPC::grpc++_reflection, prometheus-cpp::core, civetweb::civetweb,
# spdlog::spdlog, nlohmann_json::nlohmann_json, CLI11::CLI11, yaml-cpp, SQLite::SQLite3,
# ICU::uc, ICU::i18n, OpenSSL::Crypto, ZLIB::ZLIB, DNNL::dnnl, gloo::gloo,
# Boost::context, Threads::Threads, GTest::gmock, benchmark::benchmark.

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto SSL)
find_package(Protobuf REQUIRED)
find_package(absl REQUIRED CONFIG)
find_package(gRPC REQUIRED CONFIG)
find_package(prometheus-cpp REQUIRED CONFIG)
find_package(civetweb REQUIRED CONFIG)
find_package(spdlog REQUIRED CONFIG)
find_package(nlohmann_json REQUIRED CONFIG)
find_package(CLI11 REQUIRED CONFIG)
find_package(yaml-cpp REQUIRED CONFIG)
find_package(SQLite3 REQUIRED)
find_package(ICU REQUIRED COMPONENTS uc i18n)
find_package(Boost REQUIRED COMPONENTS context)
find_package(GTest REQUIRED CONFIG)
find_package(benchmark REQUIRED CONFIG)
find_program(LONGSPAN_PROTOC protoc REQUIRED)
find_program(LONGSPAN_GRPC_PLUGIN grpc_cpp_plugin REQUIRED)

# Debian's package file of oneDNN insists on OpenCL, which it does not use.
find_path(LONGSPAN_DNNL_INCLUDE dnnl.h REQUIRED)
find_library(LONGSPAN_DNNL_LIBRARY dnnl REQUIRED)
add_library(DNNL::dnnl UNKNOWN IMPORTED)
set_target_properties(DNNL::dnnl PROPERTIES
  IMPORTED_LOCATION "${LONGSPAN_DNNL_LIBRARY}"
  INTERFACE_INCLUDE_DIRECTORIES "${LONGSPAN_DNNL_INCLUDE}")

# Debian's Gloo comes without a CMake package.
find_path(LONGSPAN_GLOO_INCLUDE gloo/context.h REQUIRED)
find_library(LONGSPAN_GLOO_LIBRARY gloo REQUIRED)
add_library(gloo::gloo UNKNOWN IMPORTED)
set_target_properties(gloo::gloo PROPERTIES
  IMPORTED_LOCATION "${LONGSPAN_GLOO_LIBRARY}"
  INTERFACE_INCLUDE_DIRECTORIES "${LONGSPAN_GLOO_INCLUDE}"
  INTERFACE_LINK_LIBRARIES Threads::Threads)

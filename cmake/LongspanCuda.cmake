# Finds CUDA 13 and switches the language on.
#
# LONGSPAN_CUDA is AUTO (built when nvcc is found), ON (an error when it is
# not) or OFF. nvcc is looked for in this order: CMAKE_CUDA_COMPILER, the
# environment's CUDACXX, LONGSPAN_CUDA_ROOT/bin (variable of CMake or of the
# environment), PATH, /usr/local/cuda/bin, and what deploy/install-cuda put
# into .cache/cuda. Sets for the directories:
#
#   LONGSPAN_WITH_CUDA      nvcc was found and wanted
#   LONGSPAN_CUDA_OPTIONS   options of our own .cu files
#   longspan_cudart         target: the toolkit's headers, its static library
#   LONGSPAN_CUOBJDUMP      the disassembler beside nvcc
#
# The wheels of deploy/install-cuda are no complete toolkit, and CMake 3.25
# does not know CUDA 13, so find_package(CUDAToolkit) is not used: the compiler
# itself says where headers and the static run-time library lie.

set(LONGSPAN_CUDA_ROOT "$ENV{LONGSPAN_CUDA_ROOT}" CACHE PATH
  "Folder of a CUDA 13 toolkit, with bin/nvcc")
# A build folder that was made without it takes it later, too.
if(NOT LONGSPAN_CUDA_ROOT)
  set_property(CACHE LONGSPAN_CUDA_ROOT PROPERTY VALUE
    "$ENV{LONGSPAN_CUDA_ROOT}")
endif()
set(LONGSPAN_CUDA_MINIMUM 13.0)

function(longspan_find_nvcc out)
  if(CMAKE_CUDA_COMPILER)
    set(${out} "${CMAKE_CUDA_COMPILER}" PARENT_SCOPE)
    return()
  endif()
  file(GLOB wheels
    "${PROJECT_SOURCE_DIR}/.cache/cuda/lib/python3*/site-packages/nvidia/cu13")
  set(nvcc "$ENV{CUDACXX}")
  if(NOT nvcc)
    find_program(LONGSPAN_NVCC nvcc NO_CACHE NO_DEFAULT_PATH
      PATHS "${LONGSPAN_CUDA_ROOT}/bin" ENV PATH /usr/local/cuda/bin
            "${wheels}/bin")
    set(nvcc "${LONGSPAN_NVCC}")
  endif()
  set(${out} "${nvcc}" PARENT_SCOPE)
endfunction()

# Empty, or why this compiler cannot be used.
function(longspan_refuse_nvcc nvcc out)
  set(reason "")
  if(NOT nvcc)
    set(reason "no nvcc was found: run deploy/install-cuda, put it on PATH, or \
set LONGSPAN_CUDA_ROOT")
  elseif(LONGSPAN_SANITIZE)
    set(reason "nvcc does not know the sanitizers (${LONGSPAN_SANITIZE})")
  else()
    execute_process(COMMAND "${nvcc}" --version OUTPUT_VARIABLE text
      ERROR_QUIET)
    string(REGEX MATCH "release ([0-9.]+)" matched "${text}")
    if(NOT matched OR CMAKE_MATCH_1 VERSION_LESS LONGSPAN_CUDA_MINIMUM)
      set(reason "${nvcc} is release '${CMAKE_MATCH_1}', and \
${LONGSPAN_CUDA_MINIMUM} is needed: run deploy/install-cuda and set \
LONGSPAN_CUDA_ROOT to the folder that it prints")
    endif()
  endif()
  set(${out} "${reason}" PARENT_SCOPE)
endfunction()

set(LONGSPAN_WITH_CUDA OFF)
if(NOT LONGSPAN_CUDA STREQUAL "OFF")
  longspan_find_nvcc(longspan_nvcc)
  longspan_refuse_nvcc("${longspan_nvcc}" longspan_nvcc_refusal)
  if(NOT longspan_nvcc_refusal)
    set(LONGSPAN_WITH_CUDA ON)
  elseif(LONGSPAN_CUDA STREQUAL "ON")
    message(FATAL_ERROR "LONGSPAN_CUDA=ON, but ${longspan_nvcc_refusal}")
  endif()
endif()
message(STATUS "CUDA backend: ${LONGSPAN_WITH_CUDA} ${longspan_nvcc_refusal}")

if(LONGSPAN_WITH_CUDA)
  set(CMAKE_CUDA_COMPILER "${longspan_nvcc}")
  if(NOT DEFINED CMAKE_CUDA_HOST_COMPILER)
    set(CMAKE_CUDA_HOST_COMPILER "${CMAKE_CXX_COMPILER}")
  endif()
  # Ampere and Hopper; no PTX, so that nothing is compiled at run time.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES "80-real;90a-real")
  endif()
  if(LONGSPAN_CCACHE)
    set(CMAKE_CUDA_COMPILER_LAUNCHER "${LONGSPAN_CCACHE}")
  endif()
  enable_language(CUDA)
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  set(CMAKE_CUDA_EXTENSIONS OFF)
  if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
    # CMake 3.25.1 does not know that nvcc has C++20.
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  endif()
  set(CMAKE_CUDA_RUNTIME_LIBRARY None)  # longspan_cudart, named explicitly

  list(JOIN LONGSPAN_WARNINGS "," longspan_host_warnings)
  set(LONGSPAN_CUDA_OPTIONS -O3 --expt-relaxed-constexpr -Werror=all-warnings
    "-Xcompiler=${longspan_host_warnings}")

  cmake_path(GET CMAKE_CUDA_COMPILER PARENT_PATH longspan_cuda_bin)
  find_program(LONGSPAN_CUOBJDUMP cuobjdump HINTS "${longspan_cuda_bin}")
  find_library(LONGSPAN_CUDART_STATIC cudart_static REQUIRED
    HINTS "${longspan_cuda_bin}/../lib64" "${longspan_cuda_bin}/../lib"
          ${CMAKE_CUDA_IMPLICIT_LINK_DIRECTORIES})
  add_library(longspan_cudart INTERFACE)
  target_include_directories(longspan_cudart SYSTEM INTERFACE
    ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
  target_link_libraries(longspan_cudart INTERFACE
    "${LONGSPAN_CUDART_STATIC}" Threads::Threads ${CMAKE_DL_LIBS} rt)
endif()

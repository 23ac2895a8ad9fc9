# Options, compiler flags and the stamp of the build.

set(LONGSPAN_SANITIZE "" CACHE STRING "Value of -fsanitize, or empty")
set(LONGSPAN_OPTIMIZE "-O2 -g1" CACHE STRING "Optimisation and debug flags")
set(LONGSPAN_LIGHT_OPTIMIZE "" CACHE STRING
  "Flags after those, for sources in which no program spends its time")
set(LONGSPAN_CUDA "AUTO" CACHE STRING "CUDA backend: AUTO, ON or OFF")
set(LONGSPAN_JOIN_SOURCES "NONE" CACHE STRING
  "Whose sources are compiled several at a time: ALL, TESTS or NONE")
set_property(CACHE LONGSPAN_JOIN_SOURCES PROPERTY STRINGS ALL TESTS NONE)
option(LONGSPAN_TSAN_ONLY "Build only the tests marked TSAN" OFF)
option(LONGSPAN_STAMP "Record git describe in the binaries" OFF)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# An installed tree may bring its libraries (deploy/bundle). The old kind of
# run path also serves the libraries' own needs, and what is opened later.
set(CMAKE_INSTALL_RPATH "$ORIGIN/../lib")
add_link_options("$<$<LINK_LANGUAGE:C,CXX>:-Wl,--disable-new-dtags>")
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
include(GNUInstallDirs)

find_program(LONGSPAN_CCACHE ccache)
if(LONGSPAN_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER "${LONGSPAN_CCACHE}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${LONGSPAN_CCACHE}")
endif()

separate_arguments(longspan_flags UNIX_COMMAND "${LONGSPAN_OPTIMIZE}")
add_compile_options("$<$<NOT:$<COMPILE_LANGUAGE:CUDA>>:${longspan_flags}>")
separate_arguments(longspan_light_flags UNIX_COMMAND "${LONGSPAN_LIGHT_OPTIMIZE}")
# What a build with sanitizers does not wait for: test programs' own sources, and
# all libraries and programs but those that compute.
set(LONGSPAN_LIGHT_FLAGS "$<$<COMPILE_LANGUAGE:CXX>:${longspan_light_flags}>")
set(LONGSPAN_LIGHT_DIRECTORIES "^(bench|cli|common|coordinator|proto)(/|$)")
# Contracted multiply-adds would make results depend on inlining.
add_compile_options("$<$<NOT:$<COMPILE_LANGUAGE:CUDA>>:-ffp-contract=off>")

if(LONGSPAN_SANITIZE)
  add_compile_options(
    -fsanitize=${LONGSPAN_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${LONGSPAN_SANITIZE})
  if(LONGSPAN_SANITIZE MATCHES "undefined")
    # vptr needs the run-time type information of libraries that lack it.
    add_compile_options(-fno-sanitize=vptr -fno-sanitize-recover=all)
  endif()
endif()

# The default linker needs several times as long for our static archives.
find_program(LONGSPAN_LLD NAMES ld.lld ld.lld-14)
find_program(LONGSPAN_GOLD NAMES ld.gold)
if(LONGSPAN_LLD AND LONGSPAN_LLD MATCHES "ld.lld$")
  add_link_options(-fuse-ld=lld)
elseif(LONGSPAN_GOLD)
  add_link_options(-fuse-ld=gold)
endif()
set_property(GLOBAL PROPERTY JOB_POOLS longspan_link=2)
set(CMAKE_JOB_POOL_LINK longspan_link)

# Warnings for our own sources; generated ones get none. The four that are
# switched off report library code of g++ 12 once it is inlined.
set(LONGSPAN_WARNINGS
  -Wall -Wextra -Werror -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND LONGSPAN_WARNINGS -Wno-restrict -Wno-array-bounds
    -Wno-stringop-overflow -Wno-maybe-uninitialized)
elseif(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  list(APPEND LONGSPAN_WARNINGS -Wthread-safety)
endif()

set(LONGSPAN_BUILD_STAMP "unstamped")
if(LONGSPAN_STAMP)
  find_package(Git QUIET)
  if(GIT_FOUND)
    execute_process(
      COMMAND "${GIT_EXECUTABLE}" describe --always --dirty --tags
      WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
      OUTPUT_VARIABLE longspan_describe OUTPUT_STRIP_TRAILING_WHITESPACE
      ERROR_QUIET RESULT_VARIABLE longspan_describe_result)
    if(longspan_describe_result EQUAL 0)
      set(LONGSPAN_BUILD_STAMP "${longspan_describe}")
    endif()
  endif()
endif()
set(LONGSPAN_GENERATED_DIR "${PROJECT_BINARY_DIR}/generated")
configure_file("${PROJECT_SOURCE_DIR}/cmake/version.inc.in"
  "${LONGSPAN_GENERATED_DIR}/longspan_version.inc" @ONLY)

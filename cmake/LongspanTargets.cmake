# One target per directory, with explicit dependencies.
#
#   longspan_library([NAME target] [SRCS ...] [HDRS ...] [DEPS dir...]
#                    [EXTERNAL target...] [TSAN])
#     The library of the current directory. Its target is the directory with
#     '/' replaced by '_' (worker/parallel -> worker_parallel). Without SRCS
#     it is header-only. DEPS names directories of this tree ("common/base")
#     or targets (NAME of a second library); EXTERNAL names imported targets
#     (cmake/LongspanThirdParty.cmake). TSAN is documentation: the library
#     owns threads.
#
#   longspan_binary(NAME file SRCS ... [DEPS ...] [EXTERNAL ...]
#                   [NO_INSTALL | BUNDLE])
#     An executable build/<preset>/bin/<file>, installed into bin/. The target
#     longspan_binaries builds all that are installed: build it before
#     `cmake --install`. BUNDLE: only deploy/bundle takes it along; the target
#     longspan_bundle builds all that travels.
#
#   longspan_test([NAME target] SRCS ... [DEPS ...] [EXTERNAL ...] [TSAN]
#                 [RUNS binary...] [LABELS ...] [TIMEOUT seconds] [COST seconds])
#     One GoogleTest program, one ctest test. TSAN also builds and runs it in
#     the preset tsan. COST: what it takes, of a long one; those start first. RUNS names the binaries it starts. The test runs in the
#     source directory, with LONGSPAN_SOURCE_DIR and LONGSPAN_BINARY_DIR set.
#
#   longspan_cuda_test([NAME target] SRCS ... [DEPS ...] [EXTERNAL ...]
#                      [TIMEOUT seconds])
#     One source, two programs, where CUDA's kernels run: target, a test on the
#     emulator in every preset, and target_gpu, of CUDA builds only, which
#     travels in the bundle and is run by tests/gpu/run. DEPS names no backend.
#
#   longspan_script_test(NAME name COMMAND ... [RUNS binary...] [LABELS ...]
#                        [TIMEOUT seconds] [PROCESSORS n])
#     A test that is not a GoogleTest program; it counts as one test.
#
#     A test with the label e2e or bundle exists only without sanitizers (the
#     preset release); the targets longspan_e2e and longspan_bundle build what
#     such tests need. The label serial keeps other tests from running beside
#     it. What only nvcc can tell has the label cuda; longspan_cuda builds it.
#
#   longspan_emulate_cuda(target...)
#     These test programs get the emulated CUDA backend (the real kernels, run
#     by tests/support/cuda_emulator) wherever they use kernels/select.
#
#   longspan_proto(ROOT dir)
#     Compiles every .proto beneath dir into `proto` (messages) and
#     `proto_grpc` (stubs of *_service.proto). Includes are relative to dir:
#     "longspan/v1/job.pb.h".

set_property(GLOBAL PROPERTY LONGSPAN_TARGET_RECORDS "")

function(longspan_directory_of_current out)
  cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR
    BASE_DIRECTORY "${PROJECT_SOURCE_DIR}" OUTPUT_VARIABLE directory)
  set(${out} "${directory}" PARENT_SCOPE)
endfunction()

# Directories ("common/base") become targets ("common_base").
function(longspan_targets_of out)
  set(result ${ARGN})
  list(TRANSFORM result REPLACE "/" "_")
  set(${out} ${result} PARENT_SCOPE)
endfunction()

function(longspan_json_list out)
  set(items "")
  foreach(item IN LISTS ARGN)
    list(APPEND items "\"${item}\"")
  endforeach()
  list(JOIN items ", " joined)
  set(${out} "[${joined}]" PARENT_SCOPE)
endfunction()

# Remembers what a target declared, for cmake/check_includes.py.
function(longspan_record target kind directory)
  cmake_parse_arguments(ARG "" "" "FILES;DEPS;EXTERNAL" ${ARGN})
  longspan_json_list(files ${ARG_FILES})
  longspan_json_list(deps ${ARG_DEPS})
  longspan_json_list(external ${ARG_EXTERNAL})
  string(CONCAT record "{\"target\": \"${target}\", \"kind\": \"${kind}\", "
    "\"directory\": \"${directory}\", \"files\": ${files}, "
    "\"deps\": ${deps}, \"external\": ${external}}")
  set_property(GLOBAL APPEND PROPERTY LONGSPAN_TARGET_NAMES "${target}")
  set_property(GLOBAL APPEND_STRING PROPERTY LONGSPAN_TARGET_RECORDS
    ",\n  ${record}")
  set_property(GLOBAL APPEND PROPERTY LONGSPAN_ALL_DEPS ${ARG_DEPS})
endfunction()

function(longspan_optimize target directory)
  if(directory MATCHES "${LONGSPAN_LIGHT_DIRECTORIES}")
    target_compile_options(${target} PRIVATE "${LONGSPAN_LIGHT_FLAGS}")
  endif()
endfunction()

# Half of a compiler's time goes into headers; sources of a target that are
# compiled together share it, but for those with options of their own. So
# anonymous namespaces of one directory have no name in common. The presets dev
# and ci compile libraries file by file: every file must name what it includes,
# and cmake/check_sources.py counts on that.
function(longspan_join target kind)
  if(LONGSPAN_JOIN_SOURCES STREQUAL "ALL"
      OR (LONGSPAN_JOIN_SOURCES STREQUAL "TESTS" AND kind STREQUAL "test"))
    set_target_properties(${target} PROPERTIES
      UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
  endif()
endfunction()

function(longspan_library)
  cmake_parse_arguments(ARG "TSAN" "NAME" "SRCS;HDRS;DEPS;EXTERNAL" ${ARGN})
  longspan_directory_of_current(directory)
  longspan_targets_of(name "${directory}")
  if(ARG_NAME)
    set(name "${ARG_NAME}")
  endif()
  longspan_targets_of(deps ${ARG_DEPS})
  longspan_record(${name} library "${directory}" FILES ${ARG_SRCS} ${ARG_HDRS}
    DEPS ${deps} EXTERNAL ${ARG_EXTERNAL})
  if(ARG_SRCS)
    add_library(${name} STATIC ${ARG_SRCS} ${ARG_HDRS})
    target_compile_options(${name} PRIVATE
      "$<$<NOT:$<COMPILE_LANGUAGE:CUDA>>:${LONGSPAN_WARNINGS}>")
    longspan_optimize(${name} "${directory}")
    longspan_join(${name} library)
    set(scope PUBLIC)
    if(LONGSPAN_TSAN_ONLY)
      set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
    endif()
  else()
    add_library(${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(${name} ${scope} "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} ${scope} ${deps} ${ARG_EXTERNAL}
    Threads::Threads)
endfunction()

function(longspan_binary)
  cmake_parse_arguments(ARG "NO_INSTALL;BUNDLE" "NAME" "SRCS;DEPS;EXTERNAL"
    ${ARGN})
  longspan_directory_of_current(directory)
  longspan_targets_of(deps ${ARG_DEPS})
  longspan_record(${ARG_NAME} binary "${directory}" FILES ${ARG_SRCS}
    DEPS ${deps} EXTERNAL ${ARG_EXTERNAL})
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_compile_options(${ARG_NAME} PRIVATE
    "$<$<NOT:$<COMPILE_LANGUAGE:CUDA>>:${LONGSPAN_WARNINGS}>")
  longspan_optimize(${ARG_NAME} "${directory}")
  longspan_join(${ARG_NAME} binary)
  target_include_directories(${ARG_NAME} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${ARG_NAME} PRIVATE ${deps} ${ARG_EXTERNAL})
  set_target_properties(${ARG_NAME} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
  if(LONGSPAN_TSAN_ONLY)
    set_target_properties(${ARG_NAME} PROPERTIES EXCLUDE_FROM_ALL ON)
  elseif(ARG_BUNDLE)
    longspan_bundled(${ARG_NAME})
  elseif(NOT ARG_NO_INSTALL)
    add_dependencies(longspan_binaries ${ARG_NAME})
    install(TARGETS ${ARG_NAME} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}"
      COMPONENT programs)
  endif()
endfunction()

# A program that travels in the bundle, and is not installed otherwise.
function(longspan_bundled name)
  add_dependencies(longspan_bundle ${name})
  install(TARGETS ${name} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}"
    COMPONENT bundle EXCLUDE_FROM_ALL)
endfunction()

function(longspan_test_environment name)
  set(suppressions "${PROJECT_SOURCE_DIR}/cmake/sanitizers")
  set(environment
    "LONGSPAN_SOURCE_DIR=${PROJECT_SOURCE_DIR}"
    "LONGSPAN_BINARY_DIR=${PROJECT_BINARY_DIR}"
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
    "LSAN_OPTIONS=suppressions=${suppressions}/lsan.supp:print_suppressions=0"
    "TSAN_OPTIONS=suppressions=${suppressions}/tsan.supp:halt_on_error=1")
  set_tests_properties(${name} PROPERTIES ENVIRONMENT "${environment}")
endfunction()

# Whether this build has a test with these labels. A label that a preset has
# no use for keeps its tests out of ctest, and out of the default build.
function(longspan_wants_test out)
  set(wanted ON)
  if(LONGSPAN_SANITIZE AND ("e2e" IN_LIST ARGN OR "bundle" IN_LIST ARGN))
    set(wanted OFF)
  endif()
  set(${out} ${wanted} PARENT_SCOPE)
endfunction()

add_custom_target(longspan_e2e)
add_custom_target(longspan_cuda)
add_custom_target(longspan_binaries)
add_custom_target(longspan_bundle)
add_dependencies(longspan_bundle longspan_binaries)

function(longspan_test_properties name)
  cmake_parse_arguments(ARG "" "TIMEOUT;PROCESSORS" "LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 600)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT}
    LABELS "${ARG_LABELS}")
  if(ARG_PROCESSORS)
    set_tests_properties(${name} PROPERTIES PROCESSORS ${ARG_PROCESSORS})
  endif()
  if("serial" IN_LIST ARG_LABELS)
    set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
  endif()
  longspan_test_environment(${name})
endfunction()

function(longspan_test)
  cmake_parse_arguments(ARG "TSAN" "NAME;TIMEOUT;COST"
    "SRCS;DEPS;EXTERNAL;RUNS;LABELS" ${ARGN})
  longspan_directory_of_current(directory)
  string(REGEX REPLACE "^tests/" "" subject "${directory}")
  longspan_targets_of(name "${subject}_test")
  if(ARG_NAME)
    set(name "${ARG_NAME}")
  endif()
  longspan_targets_of(deps ${ARG_DEPS})
  longspan_record(${name} test "${directory}" FILES ${ARG_SRCS}
    DEPS ${deps} EXTERNAL ${ARG_EXTERNAL})
  add_executable(${name} ${ARG_SRCS})
  target_compile_options(${name} PRIVATE
    "$<$<NOT:$<COMPILE_LANGUAGE:CUDA>>:${LONGSPAN_WARNINGS}>"
    "${LONGSPAN_LIGHT_FLAGS}")
  longspan_join(${name} test)
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${deps} ${ARG_EXTERNAL}
    GTest::gmock GTest::gtest_main Threads::Threads)
  if(ARG_RUNS)
    add_dependencies(${name} ${ARG_RUNS})
  endif()
  longspan_wants_test(wanted ${ARG_LABELS})
  if(NOT wanted OR (LONGSPAN_TSAN_ONLY AND NOT ARG_TSAN))
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
    return()
  endif()
  if("e2e" IN_LIST ARG_LABELS)
    add_dependencies(longspan_e2e ${name})
  endif()
  if("cuda" IN_LIST ARG_LABELS)
    add_dependencies(longspan_cuda ${name})
  endif()
  add_test(NAME ${name} COMMAND ${name}
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  longspan_test_properties(${name} TIMEOUT "${ARG_TIMEOUT}"
    LABELS ${ARG_LABELS})
  if(ARG_COST)
    set_tests_properties(${name} PROPERTIES COST ${ARG_COST})
  endif()
  # Its cases, for tests/run to count. Scripts count as one: what they start
  # would write over each other's results.
  set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT
    "GTEST_OUTPUT=xml:${PROJECT_BINARY_DIR}/test-results/${name}.xml")
endfunction()

function(longspan_cuda_test)
  cmake_parse_arguments(ARG "" "NAME;TIMEOUT" "SRCS;DEPS;EXTERNAL" ${ARGN})
  longspan_directory_of_current(directory)
  string(REGEX REPLACE "^tests/" "" subject "${directory}")
  longspan_targets_of(name "${subject}_test")
  if(ARG_NAME)
    set(name "${ARG_NAME}")
  endif()
  longspan_test(NAME ${name} SRCS ${ARG_SRCS} TIMEOUT "${ARG_TIMEOUT}"
    DEPS ${ARG_DEPS} EXTERNAL ${ARG_EXTERNAL})
  longspan_emulate_cuda(${name})
  target_link_libraries(${name} PRIVATE kernels_cuda_emulated)
  if(NOT LONGSPAN_WITH_CUDA OR LONGSPAN_TSAN_ONLY)
    return()
  endif()
  longspan_targets_of(deps ${ARG_DEPS})
  add_executable(${name}_gpu EXCLUDE_FROM_ALL ${ARG_SRCS})
  target_compile_options(${name}_gpu PRIVATE ${LONGSPAN_WARNINGS})
  target_include_directories(${name}_gpu PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name}_gpu PRIVATE ${deps} kernels_cuda
    ${ARG_EXTERNAL} GTest::gmock GTest::gtest_main Threads::Threads)
  set_target_properties(${name}_gpu PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
  longspan_bundled(${name}_gpu)
endfunction()

function(longspan_script_test)
  cmake_parse_arguments(ARG "" "NAME;TIMEOUT;PROCESSORS"
    "COMMAND;RUNS;LABELS" ${ARGN})
  longspan_wants_test(wanted ${ARG_LABELS})
  if(NOT wanted OR LONGSPAN_TSAN_ONLY)
    return()
  endif()
  if("e2e" IN_LIST ARG_LABELS AND ARG_RUNS)
    add_dependencies(longspan_e2e ${ARG_RUNS})
  endif()
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_COMMAND}
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  longspan_test_properties(${ARG_NAME} TIMEOUT "${ARG_TIMEOUT}"
    PROCESSORS "${ARG_PROCESSORS}" LABELS ${ARG_LABELS})
endfunction()

function(longspan_emulate_cuda)
  set_target_properties(${ARGN} PROPERTIES LONGSPAN_CUDA_EMULATED ON)
endfunction()

function(longspan_generated_library name)
  cmake_parse_arguments(ARG "" "" "SRCS;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SRCS})
  # Generated code is not ours to warn about, and it is the largest part of
  # the build: no sanitizer, no debug information.
  target_compile_options(${name} PRIVATE -w -g0 "${LONGSPAN_LIGHT_FLAGS}")
  if(LONGSPAN_SANITIZE)
    target_compile_options(${name} PRIVATE -fno-sanitize=all)
  endif()
  if(LONGSPAN_TSAN_ONLY)
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
  target_include_directories(${name} SYSTEM PUBLIC
    "${LONGSPAN_GENERATED_DIR}/proto")
  target_link_libraries(${name} PUBLIC ${ARG_LINK})
endfunction()

function(longspan_proto)
  cmake_parse_arguments(ARG "" "ROOT" "" ${ARGN})
  set(out "${LONGSPAN_GENERATED_DIR}/proto")
  file(MAKE_DIRECTORY "${out}")
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE "${ARG_ROOT}"
    "${ARG_ROOT}/*.proto")
  set(messages "")
  set(stubs "")
  foreach(file IN LISTS files)
    string(REGEX REPLACE "\\.proto$" "" stem "${file}")
    set(outputs "${out}/${stem}.pb.cc" "${out}/${stem}.pb.h")
    set(grpc_arguments "")
    list(APPEND messages "${out}/${stem}.pb.cc")
    if(file MATCHES "_service\\.proto$")
      set(grpc_arguments "--grpc_out=${out}"
        "--plugin=protoc-gen-grpc=${LONGSPAN_GRPC_PLUGIN}")
      list(APPEND outputs "${out}/${stem}.grpc.pb.cc"
        "${out}/${stem}.grpc.pb.h")
      list(APPEND stubs "${out}/${stem}.grpc.pb.cc")
    endif()
    add_custom_command(OUTPUT ${outputs}
      COMMAND "${LONGSPAN_PROTOC}" "--proto_path=${ARG_ROOT}"
        "--cpp_out=${out}" ${grpc_arguments} "${ARG_ROOT}/${file}"
      DEPENDS "${ARG_ROOT}/${file}"
      COMMENT "protoc ${file}" VERBATIM)
  endforeach()
  longspan_record(proto library proto EXTERNAL protobuf::libprotobuf)
  longspan_record(proto_grpc library proto DEPS proto EXTERNAL gRPC::grpc++)
  longspan_generated_library(proto SRCS ${messages}
    LINK protobuf::libprotobuf Threads::Threads)
  if(stubs)
    longspan_generated_library(proto_grpc SRCS ${stubs}
      LINK proto gRPC::grpc++)
    # protoc writes messages and stubs in one command; `proto` runs it.
    add_dependencies(proto_grpc proto)
  endif()
endfunction()

# Last call of the top-level file: every DEPS must exist, and the record of
# all targets is written for the checks.
function(longspan_finish)
  get_property(names GLOBAL PROPERTY LONGSPAN_TARGET_NAMES)
  get_property(deps GLOBAL PROPERTY LONGSPAN_ALL_DEPS)
  list(REMOVE_DUPLICATES deps)
  foreach(dep IN LISTS deps)
    if(NOT TARGET ${dep})
      message(SEND_ERROR "DEPS names '${dep}', but no directory makes it")
    endif()
  endforeach()
  get_property(records GLOBAL PROPERTY LONGSPAN_TARGET_RECORDS)
  string(REGEX REPLACE "^,\n" "" records "${records}")
  file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/longspan_targets.json"
    CONTENT "[\n${records}\n]\n" @ONLY)
endfunction()

// What `longspan simulate` is asked, as text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace longspan::cli {

struct SimulateOptions {
  std::string file;    // a train job; or
  std::string preset;  // a published model
  // "1Mi", "16Ki,1Mi", "16Ki..4Mi" (doubling); empty: the job's.
  std::string tokens;
  std::string ranks;
  int64_t batch = 0;                 // 0: the job's, else 1
  std::string precision;             // "", "bf16", "f32", "f64"
  std::vector<std::string> methods;  // empty: all
  std::string softmax;               // "gather", "ring"; empty: the job's
  // "auto", "contiguous", "zigzag"; empty: the job's, else auto.
  std::string layout;
  std::string mode = "bytes";
  // A node of eight A100s and their eight NICs, and as many nodes as needed.
  std::string levels = "node:8:5us:300GB,cluster:all:15us:200GB:25GB";
  // "ring", "direct"; empty: direct with `calibrate`, else ring.
  std::string collective;
  double flops_per_s = 1e14;
  double fixed_seconds = 0;
  std::string device_memory = "80GiB";
  bool overlap = true;
  bool forward_only = false;
  bool json = false;
  std::string svg;        // file to write; empty: none
  std::string calibrate;  // file of measured points; empty: none
};

}  // namespace longspan::cli

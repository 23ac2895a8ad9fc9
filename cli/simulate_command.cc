#include "cli/simulate_command.h"

#include <CLI/CLI.hpp>

namespace longspan::cli {
namespace {

constexpr char kFooter[] =
    "Predictions, from the planner's own figures for bytes and memory and a\n"
    "model of compute and network (docs/simulate.md). Runs nothing.\n"
    "Examples:\n"
    "  longspan simulate train.yaml --ranks 1..64\n"
    "  longspan simulate --preset linear-llama3-1b --tokens 2Mi --ranks 64\n"
    "  longspan simulate --preset linear-llama3-1b --tokens 16Ki..4Mi \\\n"
    "      --ranks 1..1024\n"
    "  longspan simulate bench.yaml --calibrate measured.json\n"
    "  longspan simulate --preset linear-llama3-1b --tokens 64Mi --ranks 4096 "
    "\\\n      --levels node:8:5us:300GB,datacentre:1024:20us:200GB,"
    "internet:all:30ms:1GB\n";

void AddModel(CLI::App* c, SimulateOptions& o) {
  c->add_option("file", o.file, "Train job, YAML or JSON; - is stdin");
  c->add_option("--preset", o.preset,
                "A published model instead: linear-llama3-1b,\n"
                "linear-llama3-1b-hybrid or linear-llama3-8b");
  c->add_option("--tokens", o.tokens,
                "Lengths of a sequence: 1Mi, or 16Ki,1Mi, or 16Ki..4Mi\n"
                "(doubling); default: the job's");
  c->add_option("--ranks", o.ranks, "Numbers of ranks, in the same way");
  c->add_option("--batch", o.batch, "Sequences of a step; default: the job's")
      ->check(CLI::PositiveNumber);
  c->add_option("--precision", o.precision,
                "Of activations; default: the job's, with a preset bf16")
      ->check(CLI::IsMember({"bf16", "f32", "f64"}));
  c->add_option("--method", o.methods,
                "Only these, of lasp2, lasp1, lasp1_serial, all_scan, scan,\n"
                "ring, ring_left, ulysses, megatron_sp")
      ->delimiter(',');
  c->add_option(
       "--softmax", o.softmax,
       "Softmax layers beside lasp2 to scan and ulysses: gather, ring,\n"
       "ulysses or megatron_sp; default: the job's, with a preset gather")
      ->check(CLI::IsMember({"gather", "ring", "ulysses", "megatron_sp"}));
  c->add_option("--layout", o.layout,
                "Who holds which tokens: contiguous, zigzag, or auto, what\n"
                "the planner takes for each method; default: the job's, with\n"
                "a preset auto")
      ->check(CLI::IsMember({"auto", "contiguous", "zigzag"}));
}

void AddOutput(CLI::App* c, SimulateOptions& o) {
  c->add_option("--mode", o.mode,
                "bytes: what is really sent; paper: what the papers count,\n"
                "and where the LASP-2 paper contradicts itself")
      ->check(CLI::IsMember({"bytes", "paper"}))
      ->capture_default_str();
  c->add_option("--calibrate", o.calibrate,
                "JSON of measured steps: fits compute to two of lasp2 and\n"
                "prints the prediction beside every other");
  c->add_option("--svg", o.svg, "Plot step time and memory to this file");
  c->add_flag("--json", o.json, "Print JSON");
}

void AddMachine(CLI::App* c, SimulateOptions& o) {
  c->add_option("--levels", o.levels,
                "The network, inside out: name:ranks:latency:bandwidth of a\n"
                "unit per second (0: unlimited) and, if less, of one message")
      ->capture_default_str();
  c->add_option("--collective", o.collective,
                "ring: W - 1 latencies each (default); direct: one, as this\n"
                "project's CPU groups have it (default with --calibrate)")
      ->check(CLI::IsMember({"ring", "direct"}));
  c->add_option("--flops", o.flops_per_s,
                "Useful operations per second of a rank")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  c->add_option("--fixed-seconds", o.fixed_seconds,
                "Of every step, whatever its length")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  c->add_option("--device-memory", o.device_memory, "Of a rank; 0: unlimited")
      ->capture_default_str();
  c->add_flag("!--no-overlap", o.overlap,
              "Transfers never run beside work that needs none of them");
  c->add_flag("--forward-only", o.forward_only, "No backward pass");
}

}  // namespace

void AddSimulateCommand(CLI::App& app, SimulateOptions& options,
                        const std::function<void(ExitCode)>& done) {
  CLI::App* c = app.add_subcommand(
      "simulate", "Predict bytes, memory and time of every method");
  c->footer(kFooter);
  AddModel(c, options);
  AddMachine(c, options);
  AddOutput(c, options);
  c->callback([&options, done] { done(RunSimulate(options)); });
}

}  // namespace longspan::cli

#include "cli/op_command.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "cli/op/describe_op.h"
#include "cli/op/flag_value.h"
#include "cli/op/op_table.h"

namespace longspan::cli {
namespace {

constexpr char kFooter[] =
    "Tensors are read from a safetensors file and written to another; names\n"
    "and layouts are those of PyTorch and flash-linear-attention, [B, T, H, "
    "D].\n"
    "With gradients of outputs among the tensors, the op runs backward, too.\n"
    "Examples:\n"
    "  longspan op --list\n"
    "  longspan op linear_attention --help\n"
    "  longspan op linear_attention --in x.safetensors --out y.safetensors \\\n"
    "      --backend reference --dtype f64\n";

// CLI11's own checks let hexadecimal numbers, nan and inf pass.
CLI::Validator NumberOf(FlagKind kind) {
  return CLI::Validator(
      [kind](std::string& text) {
        return std::string(CheckNumber(kind, text).message());
      },
      kind == FlagKind::kInteger ? "INTEGER" : "NUMBER");
}

void AddFlag(CLI::App* command, const OpFlag& flag, OpOptions& options) {
  const std::string name = "--" + flag.name;
  const auto keep = [&options, key = flag.name](const std::string& value) {
    options.flags[key] = value;
  };
  if (flag.kind == FlagKind::kSwitch) {
    command->add_flag_callback(
        name, [keep] { keep("1"); }, flag.meaning);
    return;
  }
  CLI::Option* option =
      command->add_option_function<std::string>(name, keep, flag.meaning);
  if (flag.kind == FlagKind::kNumber || flag.kind == FlagKind::kInteger) {
    option->check(NumberOf(flag.kind));
  }
  if (flag.kind == FlagKind::kChoice) {
    option->check(CLI::IsMember(flag.choices));
  }
}

void AddOp(CLI::App* parent, const OpDescription& op, OpOptions& options,
           const std::function<void(ExitCode)>& done) {
  CLI::App* c = parent->add_subcommand(op.name);
  c->add_option("--in", options.input, "Safetensors file to read")->required();
  c->add_option("--out", options.output, "Safetensors file to write")
      ->required();
  c->add_option("--backend", options.backend, "reference, cpu or cuda")
      ->check(CLI::IsMember({"reference", "cpu", "cuda"}))
      ->capture_default_str();
  c->add_option("--dtype", options.dtype,
                "Round operands to f32, f64 or bf16; default: their type")
      ->check(CLI::IsMember({"f32", "f64", "bf16"}));
  c->add_option("--threads", options.threads, "Threads of the backend cpu")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  for (const OpFlag& flag : op.flags) AddFlag(c, flag, options);
  c->footer(DescribeOp(op));
  c->callback([&options, &op, done] {
    options.name = op.name;
    done(RunOp(options));
  });
}

}  // namespace

void AddOpCommand(CLI::App& app, OpOptions& options,
                  const std::function<void(ExitCode)>& done) {
  CLI::App* command =
      app.add_subcommand("op", "Run one op on tensors from a file");
  command->footer(kFooter);
  const auto list = std::make_shared<bool>(false);
  command->add_flag("--list", *list,
                    "Print all ops: tensors, equations, backends");
  for (const OpDescription& op : OpTable()) AddOp(command, op, options, done);
  command->require_subcommand(0, 1);
  command->callback([command, list, done] {
    if (!command->get_subcommands().empty()) return;
    if (*list) {
      done(RunOpList());
      return;
    }
    std::cerr << "longspan: name an op, or --list\n";
    done(ExitCode::kUsage);
  });
}

}  // namespace longspan::cli

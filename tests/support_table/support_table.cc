// Writes docs/support.md: what each backend runs, found by asking it.
//
//   longspan-support-table > docs/support.md
//   longspan-support-table --check docs/support.md     1 where it differs
//
// Every op of `longspan op` is run with every variant of its description, in
// every type, forward and backward, on tensors of a few numbers; the backend
// cuda is the real one on the emulator. Models are asked of common/model_spec.
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/op/op_example.h"
#include "cli/op/op_table.h"
#include "common/base/check.h"
#include "common/model_spec/model_spec.h"
#include "kernels/select/backend_registry.h"

namespace longspan::cli {
namespace {

using kernels::BackendKind;
using kernels::DType;

constexpr char kCommand[] =
    "build/dev/bin/longspan-support-table > docs/support.md";

struct AskedBackend {
  std::string name;
  std::unique_ptr<kernels::Backend> backend;
  std::unique_ptr<kernels::Stream> stream;
  OpPlace place;
};

std::vector<AskedBackend> OpenBackends() {
  constexpr BackendKind kKinds[] = {BackendKind::kReference, BackendKind::kCpu,
                                    BackendKind::kCuda};
  std::vector<AskedBackend> backends;
  for (BackendKind kind : kKinds) {
    AskedBackend asked;
    auto backend = kernels::CreateBackend(kind);
    LONGSPAN_CHECK_OK(backend);
    asked.backend = *std::move(backend);
    auto stream = asked.backend->CreateStream(1);
    LONGSPAN_CHECK_OK(stream);
    asked.stream = *std::move(stream);
    asked.name = asked.backend->name();
    asked.place = {kind, asked.backend.get(), asked.stream.get(), 1};
    backends.push_back(std::move(asked));
  }
  return backends;
}

std::string Row(const std::vector<std::string>& cells) {
  return absl::StrCat("| ", absl::StrJoin(cells, " | "), " |\n");
}

std::string Header(const std::vector<std::string>& cells) {
  return absl::StrCat(
      Row(cells), "|",
      absl::StrJoin(std::vector<std::string>(cells.size(), "---"), "|"), "|\n");
}

// Refusals by number: a table's cells point to the sentences below it.
class Notes {
 public:
  // "[1]" of a sentence.
  std::string Mark(const std::string& sentence) {
    const auto [place, added] =
        numbers_.try_emplace(sentence, static_cast<int>(numbers_.size()) + 1);
    if (added) sentences_.push_back(sentence);
    return absl::StrCat("[", place->second, "]");
  }

  std::string List() const {
    std::string text;
    for (size_t i = 0; i < sentences_.size(); ++i) {
      absl::StrAppend(&text, "- [", i + 1, "] ", sentences_[i], "\n");
    }
    return text.empty() ? text : absl::StrCat("\n", text);
  }

 private:
  std::map<std::string, int> numbers_;
  std::vector<std::string> sentences_;
};

// "f32, bf16", with what is missing of the backward op; or why nothing runs.
std::string Cell(const OpDescription& op, const OpVariant& variant,
                 const OpPlace& place, Notes& notes) {
  const SupportedTypes all = FindSupportedTypes(
      op, variant, op.backward ? Passes::kForwardBackward : Passes::kForward,
      place);
  // Where something is refused, it may be the gradients.
  const SupportedTypes forward =
      all.refusal.empty()
          ? all
          : FindSupportedTypes(op, variant, Passes::kForward, place);
  if (forward.types.empty()) {
    return absl::StrCat("no ", notes.Mark(forward.refusal));
  }
  if (all.types == forward.types) return TypeNames(all.types);
  return absl::StrCat(TypeNames(forward.types),
                      "; gradients: ", TypeNames(all.types), " ",
                      notes.Mark(all.refusal));
}

std::string OpRows(const std::vector<AskedBackend>& backends) {
  Notes notes;
  std::string text =
      Header({"op", "variant", "gradients", "reference", "cpu", "cuda"});
  for (const OpDescription& op : OpTable()) {
    for (const OpVariant& variant : op.variants) {
      std::vector<std::string> cells = {absl::StrCat("`", op.name, "`"),
                                        variant.name,
                                        op.backward ? "yes" : "-"};
      for (const AskedBackend& asked : backends) {
        cells.push_back(Cell(op, variant, asked.place, notes));
      }
      absl::StrAppend(&text, Row(cells));
    }
  }
  return text + notes.List();
}

constexpr int64_t kHeadSizes[] = {1,   7,   16,  60,  64, 128,
                                  192, 256, 257, 512, 513};

// The sizes that a backend takes as runs, "1 to 256, 512"; of f32, which every
// backend has.
std::string HeadSizes(const OpDescription& op, OpVariant variant,
                      const std::vector<std::string>& names,
                      const OpPlace& place, Notes& notes) {
  std::vector<std::string> runs;
  int64_t first = 0, last = 0;
  std::string refusal;
  const auto close = [&] {
    if (first > 0) runs.push_back(absl::StrCat(first, " to ", last));
    first = 0;
  };
  for (int64_t size : kHeadSizes) {
    for (const std::string& name : names) variant.sizes[name] = size;
    const absl::Status status =
        RunExample(op, variant, DType::kF32, Passes::kForwardBackward, place)
            .status();
    if (!status.ok()) {
      if (refusal.empty()) refusal = std::string(status.message());
      close();
      continue;
    }
    if (first == 0) first = size;
    last = size;
  }
  close();
  if (runs.empty()) return absl::StrCat("no ", notes.Mark(refusal));
  return absl::StrCat(absl::StrJoin(runs, ", "), " ", notes.Mark(refusal));
}

// Whether a variant adds something to another of the same sizes.
bool HasMore(const OpVariant& variant) {
  for (const char* more :
       {", states", "documents", "shared keys", "snapshots"}) {
    if (variant.name.find(more) != std::string::npos) return true;
  }
  return false;
}

std::string HeadSizeText(const std::vector<AskedBackend>& backends) {
  struct Question {
    const char* op;
    std::map<std::string, int64_t> sizes;
    std::vector<std::string> names;
  };
  const Question questions[] = {
      {"linear_attention", {{"T", 2}, {"H", 1}, {"Hk", 1}}, {"Dk", "Dv"}},
      {"softmax_attention", {{"Tq", 2}, {"Tk", 2}}, {"D"}}};
  Notes notes;
  std::string text =
      Header({"op", "variant", "sizes", "reference", "cpu", "cuda"});
  for (const Question& question : questions) {
    const OpDescription& op = *FindOp(question.op);
    for (OpVariant variant : op.variants) {
      if (HasMore(variant)) continue;
      for (const auto& [name, size] : question.sizes) {
        variant.sizes.insert({name, size});
      }
      std::vector<std::string> cells = {absl::StrCat("`", op.name, "`"),
                                        variant.name,
                                        absl::StrJoin(question.names, " = ")};
      for (const AskedBackend& asked : backends) {
        cells.push_back(
            HeadSizes(op, variant, question.names, asked.place, notes));
      }
      absl::StrAppend(&text, Row(cells));
    }
  }
  return text + notes.List();
}

// A model of linear layers with this mixer and otherwise defaults.
std::string MixerRow(LinearMixer mixer, Notes& notes) {
  ModelSpec spec;
  spec.layer_pattern = "L";
  spec.linear.mixer = mixer;
  spec.linear.key_dim = 16;         // taylor has no room for more
  spec.linear.output_gate = false;  // not all have one
  spec = ResolveDefaults(spec);
  const std::vector<SpecMistake> mistakes = Validate(spec);
  LONGSPAN_CHECK(mistakes.empty()) << mistakes[0].message;
  std::vector<std::string> marks;
  for (const SpecMistake& missing : MissingOnCuda(spec)) {
    marks.push_back(
        notes.Mark(absl::StrCat(missing.path, ": ", missing.message)));
  }
  return Row(
      {absl::StrCat("`", std::string(LinearMixerName(mixer)), "`"), "yes",
       marks.empty() ? "yes" : absl::StrCat("no ", absl::StrJoin(marks, " "))});
}

std::string MixerText() {
  Notes notes;
  std::string text = Header({"mixer", "cpu", "cuda"});
  for (int i = 0;; ++i) {
    const auto mixer = static_cast<LinearMixer>(i);
    if (LinearMixerName(mixer) == "unknown") break;
    absl::StrAppend(&text, MixerRow(mixer, notes));
  }
  absl::StrAppend(&text, Row({"softmax attention (N layers)", "yes", "yes"}));
  return text + notes.List();
}

std::string SupportText() {
  const std::vector<AskedBackend> backends = OpenBackends();
  return absl::StrCat(
      "# What each backend supports\n\n"
      "Written by a program that asks (`",
      kCommand,
      "`); the test `support_table` fails where this page differs.\nDo not "
      "edit it.\n\n"
      "A type in a cell: the op ran, forward and, where the op has gradients, "
      "backward, with the command `longspan op`\n([op.md](op.md)). `cuda` is "
      "the real backend on the emulator. Numbers in brackets are the "
      "backend's own words.\n\n"
      "## Ops\n\n",
      OpRows(backends), "\n## Head sizes\n\nAsked were ",
      absl::StrJoin(kHeadSizes, ", "), ", f32, forward and backward.\n\n",
      HeadSizeText(backends),
      "\n## Mixers\n\n"
      "Models of linear layers, by `linear.mixer` of a job. A mixer that a "
      "backend has trains, shards, evaluates and\ngenerates; others are "
      "refused when the job is submitted.\n\n",
      MixerText());
}

// The first line that differs, or 0.
int FirstDifference(const std::string& a, const std::string& b) {
  std::istringstream left(a), right(b);
  for (int line = 1;; ++line) {
    std::string x, y;
    const bool more = static_cast<bool>(std::getline(left, x));
    const bool others = static_cast<bool>(std::getline(right, y));
    if (more != others || x != y) return line;
    if (!more) return 0;
  }
}

int Check(const std::string& path, const std::string& text) {
  std::ifstream file(path);
  std::ostringstream found;
  found << file.rdbuf();
  const int line = FirstDifference(found.str(), text);
  if (file && line == 0) return EXIT_SUCCESS;
  std::cerr << path << ":" << line << ": not what the backends say; run\n  "
            << kCommand << "\n";
  return EXIT_FAILURE;
}

}  // namespace
}  // namespace longspan::cli

int main(int argc, char** argv) {
  const std::string text = longspan::cli::SupportText();
  if (argc == 3 && std::string(argv[1]) == "--check") {
    return longspan::cli::Check(argv[2], text);
  }
  std::cout << text;
  return EXIT_SUCCESS;
}

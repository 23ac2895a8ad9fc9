// `longspan`, the command line.
#include "cli/command_line.h"

int main(int argc, char** argv) {
  return longspan::cli::RunCommandLine(argc, argv);
}

// Small models of every kind for the tests of this directory.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "common/model_spec/model_spec.h"

namespace longspan::testing {

struct NamedSpec {
  std::string name;
  ModelSpec spec;

  friend void PrintTo(const NamedSpec& named, std::ostream* out) {
    *out << named.name;
  }
};

// Two to three layers, hidden size 12, key and value sizes that differ: every
// mixer, with and without convolution, feature map and gate; softmax with
// grouped queries and windows; hybrids.
std::vector<NamedSpec> AllSmallSpecs();

ModelSpec SmallSpec(LinearMixer mixer, const std::string& pattern);

// The same with 8 heads, for gangs whose ranks take some of them each; fewer
// key heads stay as they are.
ModelSpec WithEightHeads(ModelSpec spec);

}  // namespace longspan::testing

// The wire form of a model and the plain one (common/model_spec).
#pragma once

#include "common/model_spec/model_spec.h"

namespace longspan::v1 {
class ModelSpec;
}  // namespace longspan::v1

namespace longspan {

// Unset enums and optional numbers become the plain struct's defaults, other
// unset numbers stay 0 ("the usual" where model_spec.h says so). Resolves
// nothing and checks nothing.
ModelSpec ModelSpecFromProto(const v1::ModelSpec& from);

// Every field is set. FromProto(ToProto(x)) == x.
void ModelSpecToProto(const ModelSpec& from, v1::ModelSpec* to);

}  // namespace longspan

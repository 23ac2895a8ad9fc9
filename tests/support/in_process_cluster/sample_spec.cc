#include "tests/support/in_process_cluster/sample_spec.h"

namespace longspan::testing {

v1::JobSpec TrainSpec(int ranks) {
  v1::JobSpec spec;
  spec.set_name("tiny");
  spec.mutable_resources()->set_ranks(ranks);
  v1::TrainSpec& train = *spec.mutable_train();
  v1::ModelSpec& model = *train.mutable_model();
  model.set_vocabulary_size(256);
  model.set_hidden_size(64);
  model.set_layer_count(2);
  model.set_layer_pattern("LN");
  train.mutable_data()->set_uri("corpus://text.txt");
  train.set_sequence_length(512);
  train.set_steps(10);
  train.mutable_optimizer()->set_learning_rate(0.01);
  return spec;
}

v1::JobSpec GenerateSpec(int ranks, int tokens) {
  v1::JobSpec spec;
  spec.mutable_resources()->set_ranks(ranks);
  v1::GenerateSpec& generate = *spec.mutable_generate();
  generate.mutable_model()->set_uri("models://m");
  generate.set_text("Once upon a time");
  generate.set_max_new_tokens(tokens);
  return spec;
}

}  // namespace longspan::testing

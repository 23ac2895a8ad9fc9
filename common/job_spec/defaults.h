// Writes the defaults that job.proto documents into a spec, so that what is
// journaled says what ran, whatever later versions' defaults are.
#pragma once

namespace longspan::v1 {
class JobSpec;
}  // namespace longspan::v1

namespace longspan {

// Idempotent. Touches only the chosen kind; checks nothing. Left to whoever
// knows the job's id or data: the checkpoint directory and the position
// buckets.
void ResolveDefaults(v1::JobSpec* spec);

}  // namespace longspan

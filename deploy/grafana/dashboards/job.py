"""How fast is a job, what does a step wait for, and does it fit its plan?"""

from .description import (IN_NAMESPACE, NAMESPACE, Dashboard, Kind, Row,
                          Threshold, Variable, panel, quantiles, query, ranks,
                          stat)

JOB_ID = Variable(
    "job_id", "job_id",
    f"longspan_tokens_processed_total{{{IN_NAMESPACE}}}", "Job")
J = f'{IN_NAMESPACE}, job_id=~"$job_id"'
PHASES = f"longspan_step_phase_seconds_total{{{J}}}[$__rate_interval]"
SENT = f'{J}, direction="sent"'
STEPS = f"rate(longspan_steps_total{{{J}}}[$__rate_interval])"

NOW = Row("Now", (
    stat("Tokens per second", "All kinds of work of the job together.",
         "suffix: tok/s",
         f"sum(rate(longspan_tokens_processed_total{{{J}}}"
         "[$__rate_interval]))", decimals=0),
    stat("Devices", "Ranks of the gang, one device each.", "short",
         f"sum({ranks(J)})"),
    stat("Steps", "Optimiser steps since the executor started.", "short",
         f"sum(longspan_steps_total{{{J}}})", decimals=0),
    stat("Loss", "Of the newest training step, nats per token.", "none",
         f"max(longspan_training_loss{{{J}}})", decimals=3, minimum=None),
    stat("Computing", """Share of the step that ranks compute or optimise, the
         mean of all ranks: the rest is waiting and checkpoints.""",
         "percentunit",
         'sum(rate(longspan_step_phase_seconds_total{%s, '
         'phase=~"compute|optimizer"}[$__rate_interval])) / '
         f"sum(rate({PHASES}))" % J, decimals=0, maximum=1,
         thresholds=(Threshold(0, "red"), Threshold(0.5, "orange"),
                     Threshold(0.8, "green"))),
    stat("Memory of plan", """The largest of a rank's peak over its plan. Plans
         leave out what the process holds before the job begins, which counts
         in small jobs only.""", "percentunit",
         f"max(longspan_memory_peak_bytes{{{J}}} / "
         f"longspan_memory_planned_bytes{{{J}}})", decimals=2),
))

SPEED = Row("Speed", (
    panel("Tokens per second", "Is it as fast as it was?", "suffix: tok/s",
          query("sum by (job_id, kind) (rate("
                f"longspan_tokens_processed_total{{{J}}}[$__rate_interval]))",
                "{{job_id}} {{kind}}")),
    panel("Tokens per second and device", "Is it worth its devices?",
          "suffix: tok/s",
          query(f"sum by (job_id) (rate(longspan_tokens_processed_total{{{J}}}"
                f"[$__rate_interval])) / {ranks(J)}", "{{job_id}}")),
    panel("Step time", """Half of the steps are faster than p50. A p99 far
          above it: something interrupts, often checkpoints or input.""", "s",
          *quantiles("longspan_step_duration_seconds", J)),
    panel("What a step does", """Seconds of a second that ranks spend in each
          phase, the mean of all ranks. exposed_communication is what was
          waited for: raise the tokens per rank or use fewer ranks. input_wait:
          the data is too slow. Of GPU ranks exposed communication is part of
          compute.""", "percentunit",
          query(f"sum by (job_id, phase) (rate({PHASES})) / on(job_id) "
                f"group_left() (sum by (job_id) (rate({PHASES})) > 0)",
                "{{job_id}} {{phase}}"),
          kind=Kind.STACK, maximum=1),
))

COMMUNICATION = Row("Communication", (
    panel("Exposed communication", """Which exchange do ranks stand still for,
          and in which pass? Seconds per step, the mean of all ranks. CPU
          ranks only.""", "s",
          query("sum by (job_id, op, pass) (rate("
                f"longspan_collective_exposed_seconds_total{{{J}}}"
                "[$__rate_interval])) / on(job_id) group_left() "
                f"(sum by (job_id) ({STEPS}) * {ranks(J)} > 0)",
                "{{job_id}} {{op}} {{pass}}"), kind=Kind.STACK),
    panel("Waiting by rank", """Share of the step that each rank waits for
          others. The rank that waits least is the one they wait for.""",
          "percentunit",
          query("sum by (job_id, rank) (rate("
                "longspan_step_phase_seconds_total{%s, "
                'phase="exposed_communication"}[$__rate_interval])) / '
                "sum by (job_id, rank) (rate(%s))" % (J, PHASES),
                "{{job_id}} rank {{rank}}"), maximum=1),
    panel("Bytes sent per step", """By operation, all ranks together. States
          cost the same at any length; keys and values grow with it.""",
          "bytes",
          query("sum by (job_id, op) (rate(longspan_collective_bytes_total"
                f"{{{SENT}}}[$__rate_interval])) / on(job_id) group_left() "
                f"(sum by (job_id) ({STEPS}) > 0)", "{{job_id}} {{op}}"),
          kind=Kind.STACK),
    panel("Bytes sent over plan", """What the layers of a rank sent in a step
          over what the planner said they would: 1, and a little more where
          validations send too. Anything else, but for the moments of a start
          or restart, is a bug worth a report.""", "percentunit",
          query("sum by (job_id, rank) (rate(longspan_collective_bytes_total"
                '{%s, op=~".*_exchange"}[$__rate_interval])) / '
                "on(job_id, rank) (max by (job_id, rank) "
                "(longspan_step_planned_bytes{%s}) * on(job_id) group_left() "
                "sum by (job_id) (%s) > 0)" % (SENT, J, STEPS),
                "{{job_id}} rank {{rank}}"), maximum=2),
))

MEMORY = Row("Memory", (
    panel("Memory of ranks", """Peak beside plan. The peak includes what the
          process holds before the job begins.""", "bytes",
          query(f"longspan_memory_peak_bytes{{{J}}}",
                "{{job_id}} rank {{rank}} peak"),
          query(f"longspan_memory_planned_bytes{{{J}}}",
                "{{job_id}} rank {{rank}} plan"),
          query(f"longspan_memory_used_bytes{{{J}}}",
                "{{job_id}} rank {{rank}} now")),
    panel("Checkpoints", "How long does the job stand still to save itself?",
          "s", *quantiles("longspan_checkpoint_duration_seconds", J,
                          of=(0.5, 0.95)),
          query("sum(increase(longspan_checkpoint_failures_total"
                f"{{{J}}}[$__rate_interval]))", "failures (count)")),
))

TRAINING = Row("Training", (
    panel("Loss", "Does it learn? Nats per token.", "none",
          query(f"longspan_training_loss{{{J}}}", "{{job_id}} training"),
          query(f"longspan_validation_loss{{{J}}}", "{{job_id}} validation"),
          minimum=None),
    panel("Gradient norm and learning rate", """A norm that grows before the
          loss does: lower the rate or warm up longer.""", "none",
          query(f"longspan_gradient_norm{{{J}}}", "{{job_id}} norm"),
          query(f"longspan_learning_rate{{{J}}}", "{{job_id}} rate")),
))

DASHBOARD = Dashboard(
    uid="longspan-job",
    title="Longspan / Job",
    description=("How fast is a job, what does a step wait for, and does it "
                 "fit its plan?"),
    variables=(NAMESPACE, JOB_ID),
    rows=(NOW, SPEED, COMMUNICATION, MEMORY, TRAINING))

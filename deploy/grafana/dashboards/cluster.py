"""Is the cluster healthy and busy, and what waits or fails?"""

from .description import (IN_NAMESPACE as N, NAMESPACE, Dashboard, Kind, Row,
                          Threshold, panel, query, ranks, stat)

NOW = Row("Now", (
    stat("Workers ready", "Workers that hold their lease and take jobs.",
         "short", f'sum(longspan_workers{{{N}, state="READY"}})',
         thresholds=(Threshold(0, "red"), Threshold(1, "green"))),
    stat("Workers lost", """Workers whose lease ended. Their devices are given
         away only when they are proven free: look at the node.""", "short",
         f'sum(longspan_workers{{{N}, state="LOST"}})',
         thresholds=(Threshold(0, "green"), Threshold(1, "red"))),
    stat("Jobs running", "Jobs whose gang computes.", "short",
         f'sum(longspan_jobs{{{N}, state="RUNNING"}})'),
    stat("Jobs waiting", """Jobs that wait for devices; the row Queue says
         why.""", "short", f"sum(longspan_queue_length{{{N}}})"),
    stat("Jobs failed", """Jobs in the state FAILED that the coordinator still
         knows; `longspan list --state failed` names them.""", "short",
         f'sum(longspan_jobs{{{N}, state="FAILED"}})',
         thresholds=(Threshold(0, "green"), Threshold(1, "orange"))),
    stat("Tokens per second", "What the cluster does for its users, in sum.",
         "suffix: tok/s",
         f"sum(rate(longspan_tokens_processed_total{{{N}}}"
         "[$__rate_interval]))", decimals=0),
))

THROUGHPUT = Row("Throughput", (
    panel("Tokens per second", "Which job does how much work?",
          "suffix: tok/s",
          query(f"sum by (job_id, kind) (rate("
                f"longspan_tokens_processed_total{{{N}}}[$__rate_interval]))",
                "{{job_id}} {{kind}}"), link="longspan-job"),
    panel("Tokens per second and device", """How well does a job use its
          devices? Compare jobs of one model: fewer tokens per device on more
          devices are the price of their exchange.""", "suffix: tok/s",
          query(f"sum by (job_id) (rate(longspan_tokens_processed_total{{{N}}}"
                f"[$__rate_interval])) / {ranks(N)}", "{{job_id}}"),
          link="longspan-job"),
))

QUEUE = Row("Queue", (
    panel("Why jobs wait", """no_capacity: more than all workers have, add
          workers or ask for less. devices_in_use: wait, or add workers.
          behind_another: a larger job, or one that comes back, is next and is
          not overtaken.
          `longspan get JOB` says it in a sentence.""", "short",
          query(f"sum by (reason) (longspan_queue_length{{{N}}})",
                "{{reason}}"), kind=Kind.STACK),
    panel("Waiting jobs by priority", "Who waits: the urgent ones too?",
          "short",
          query(f"sum by (priority) (longspan_queue_length{{{N}}})",
                "priority {{priority}}"), kind=Kind.STACK),
    panel("Jobs by state", "What became of the jobs?", "short",
          query(f"sum by (state) (longspan_jobs{{{N}}})", "{{state}}"),
          kind=Kind.STACK, width=24),
))

FAILURES = Row("Failures and recovery", (
    panel("Restarts", """Attempts after a failed one since the coordinator
          began, by cause: each step up is one. UNAVAILABLE is a lost rank or worker, RESOURCE_EXHAUSTED memory.
          `longspan get JOB` names the rank.""", "short",
          query(f"sum by (reason) (longspan_job_restarts_total{{{N}}})",
                "{{reason}}"), width=8),
    panel("Leases that ran out", """Workers that fell silent: a dead node, a
          network that drops, or a daemon that is starved.""", "short",
          query("sum(increase(longspan_lease_expirations_total"
                f"{{{N}}}[$__rate_interval]))", "leases"), width=8),
    panel("Checkpoints that failed", """Jobs go on without them, and lose more
          when they restart: look at the space and rights of outputs.""",
          "short",
          query("sum by (job_id) (increase(longspan_checkpoint_failures_total"
                f"{{{N}}}[$__rate_interval]))", "{{job_id}}"), width=8),
    panel("Silence of workers", """Seconds since a worker's newest lease
          renewal. Renewals come a few times per lease; a saw-tooth that grows
          is a worker about to be lost.""", "s",
          query("time() - longspan_worker_last_heartbeat_timestamp_seconds"
                f"{{{N}}}", "{{worker}}"), link="longspan-worker"),
    panel("Workers up", "Which worker was lost when?", "short",
          query(f"longspan_worker_up{{{N}}}", "{{worker}}"), maximum=1,
          link="longspan-worker"),
))

CONTROL = Row("Control plane", (
    panel("Calls per second", "What do clients ask the coordinator?", "reqps",
          query("sum by (method) (rate(longspan_rpc_requests_total"
                f"{{{N}}}[$__rate_interval]))", "{{method}}")),
    panel("Calls by answer", """INVALID_ARGUMENT and NOT_FOUND are mistakes of
          clients; UNAVAILABLE, INTERNAL and DATA_LOSS are ours: read the
          coordinator's log.""", "reqps",
          query("sum by (code) (rate(longspan_rpc_requests_total"
                f"{{{N}}}[$__rate_interval]))", "{{code}}"),
          kind=Kind.STACK),
    panel("What runs", """Version and build of every daemon. Ranks of one gang
          must be of one build.""", "short",
          query("count by (version, build, instance) "
                f"(longspan_build_info{{{N}}})"), kind=Kind.TABLE, width=24),
))

DASHBOARD = Dashboard(
    uid="longspan-cluster",
    title="Longspan / Cluster",
    description="Is the cluster healthy and busy, and what waits or fails?",
    variables=(NAMESPACE,),
    rows=(NOW, THROUGHPUT, QUEUE, FAILURES, CONTROL))

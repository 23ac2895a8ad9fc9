"""What does a node do, and is it as good as its neighbours?"""

from .description import (IN_NAMESPACE, NAMESPACE, Dashboard, Kind, Row,
                          Variable, panel, query, stat)

INSTANCE = Variable(
    "instance", "instance",
    f"longspan_memory_planned_bytes{{{IN_NAMESPACE}}}", "Worker")
W = f'{IN_NAMESPACE}, instance=~"$instance"'
PHASES = "longspan_step_phase_seconds_total"

NOW = Row("Now", (
    stat("Ranks", "Executors that run.", "short",
         f"count(longspan_memory_used_bytes{{{W}}} > 0)", width=6),
    stat("Memory in use", "By the ranks of the worker together.", "bytes",
         f"sum(longspan_memory_used_bytes{{{W}}})", width=6),
    stat("Sent per second", "By the ranks of the worker together.", "Bps",
         'sum(rate(longspan_collective_bytes_total{%s, direction="sent"}'
         "[$__rate_interval]))" % W, width=6),
    stat("Longest silence", """Of any worker, seconds since its newest lease
         renewal.""", "s",
         "max(time() - longspan_worker_last_heartbeat_timestamp_seconds"
         f"{{{IN_NAMESPACE}}})", width=6),
))

RANKS = Row("Ranks of the worker", (
    panel("Computing", """Seconds of a second that a rank computes. Ranks of
          one job differ a little; one that computes much longer than the
          others slows them all: look at its node's clocks, heat and
          neighbours.""", "percentunit",
          query(f'sum by (instance, job_id, rank) (rate({PHASES}{{{W}, '
                'phase="compute"}[$__rate_interval]))',
                "{{instance}} {{job_id}} rank {{rank}}"), maximum=1),
    panel("Against the gang's mean", """A rank's computing over the mean of its
          job: 1.2 is a fifth slower than the rest.""", "none",
          query(f'sum by (job_id, rank) (rate({PHASES}{{{W}, '
                'phase="compute"}[$__rate_interval])) / on(job_id) '
                "group_left() avg by (job_id) (sum by (job_id, rank) "
                f'(rate({PHASES}{{{IN_NAMESPACE}, phase="compute"}}'
                "[$__rate_interval])))", "{{job_id}} rank {{rank}}")),
    panel("Waiting", """Seconds of a second that ranks do not compute, by what
          they wait for.""", "percentunit",
          query(f'avg by (phase) (rate({PHASES}{{{W}, '
                'phase!~"compute|optimizer"}[$__rate_interval]))',
                "{{phase}}"), kind=Kind.STACK, maximum=1),
    panel("Exposed communication", """Seconds of a second that ranks stand
          still for transfers, by operation. CPU ranks only.""", "percentunit",
          query("avg by (op) (sum by (op, job_id, rank) (rate("
                f"longspan_collective_exposed_seconds_total{{{W}}}"
                "[$__rate_interval])))", "{{op}}"), kind=Kind.STACK),
))

NODE = Row("The node", (
    panel("Traffic of collectives", """What the transport carried for ranks of
          the worker, against what the network can do.""", "Bps",
          query("sum by (instance, direction) (rate("
                f"longspan_collective_bytes_total{{{W}}}[$__rate_interval]))",
                "{{instance}} {{direction}}")),
    panel("Memory of ranks", "Is there room for another rank?", "bytes",
          query("sum by (instance, job_id) "
                f"(longspan_memory_used_bytes{{{W}}}) > 0",
                "{{instance}} {{job_id}}"), kind=Kind.STACK),
    panel("Silence", """Seconds since the newest lease renewal, as the
          coordinator sees it.""", "s",
          query("time() - longspan_worker_last_heartbeat_timestamp_seconds"
                f"{{{IN_NAMESPACE}}}", "{{worker}}")),
    panel("Build", "What runs on the worker?", "short",
          query("count by (instance, version, build) "
                f"(longspan_build_info{{{W}}})"), kind=Kind.TABLE),
))

DASHBOARD = Dashboard(
    uid="longspan-worker",
    title="Longspan / Worker",
    description="What does a node do, and is it as good as its neighbours?",
    variables=(NAMESPACE, INSTANCE),
    rows=(NOW, RANKS, NODE))

"""Longspan's dashboards: what they ask, and in which words.

description.py has the types, one file per dashboard uses them, and
grafana_json.py writes them for Grafana. `deploy/grafana/generate` does it.
"""

from . import cluster, inference, job, worker

ALL = (cluster.DASHBOARD, job.DASHBOARD, worker.DASHBOARD,
       inference.DASHBOARD)

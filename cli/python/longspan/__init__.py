"""Client of Longspan.

    import longspan

    client = longspan.Client("127.0.0.1:7600")
    job = client.submit("job.yaml")
    job.wait()
    print(job.metrics())

Everything that goes wrong is a subclass of longspan.Error, with the
coordinator's sentence as its text.
"""

from .client import Client
from .errors import (AlreadyExists, Error, InvalidRequest, JobCancelled,
                     JobFailed, NotFound, NotPossible, TimedOut, Unavailable,
                     Unauthenticated)
from .generation import Generation, Token
from .job import Event, Job, Progress, State, StepRow

__version__ = "0.1.0"
__all__ = [
    "AlreadyExists", "Client", "Error", "Event", "Generation",
    "InvalidRequest", "Job", "JobCancelled", "JobFailed", "NotFound",
    "NotPossible", "Progress", "State", "StepRow", "TimedOut", "Token",
    "Unauthenticated", "Unavailable",
]

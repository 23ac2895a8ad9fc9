"""A job: how far it is, how it ended, and what it measured."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import json_format

from . import errors
from .progress_line import ProgressLine
from .v1 import job_pb2, job_service_pb2, progress_pb2

if TYPE_CHECKING:
    from .client import Client

_LONGEST_PAUSE = 2.0
# The coordinator restarts, or the stream's time is up: events() looks again.
_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_STEP = re.compile(
    r"step (?P<step>\d+)  loss (?P<loss>\S+)  gradient norm (?P<norm>\S+)  "
    r"learning rate (?P<rate>\S+)  (?P<speed>\S+) tokens/s")


class State(str, enum.Enum):
    PENDING = "PENDING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    RECOVERING = "RECOVERING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


@dataclasses.dataclass(frozen=True)
class Progress:
    phase: str  # "training", "validating", "prefill", ...
    done: int
    total: int  # 0: unknown, the job ends with its time
    unit: str  # "steps" or "tokens"
    fraction: float  # 0 to 1
    remaining_seconds: float | None  # an estimate
    tokens_per_second: float
    loss: float  # nats per token, train jobs
    checkpoint_step: int
    memory_peak_bytes: int
    memory_planned_bytes: int

    @staticmethod
    def of(message: progress_pb2.Progress) -> Progress:
        remaining = (message.remaining.ToTimedelta().total_seconds()
                     if message.HasField("remaining") else None)
        return Progress(
            remaining_seconds=remaining,
            **{field: getattr(message, field) for field in (
                "phase", "done", "total", "unit", "fraction",
                "tokens_per_second", "loss", "checkpoint_step",
                "memory_peak_bytes", "memory_planned_bytes")})


@dataclasses.dataclass(frozen=True)
class Event:
    """News of a job: a state or progress, never both."""
    time: datetime.datetime
    state: State | None = None
    progress: Progress | None = None
    resume_token: str = ""


@dataclasses.dataclass(frozen=True)
class StepRow:
    """What a train job reported of a step."""
    step: int
    loss: float
    gradient_norm: float
    learning_rate: float
    tokens_per_second: float


class Job:
    """A job of the coordinator, as it was when it was last looked at.

    Client.submit and Client.job make it; refresh, events and wait renew it.
    """

    def __init__(self, client: Client, message: job_pb2.Job):
        self._client = client
        self._message = message

    def __repr__(self) -> str:
        return f"<longspan.Job {self.name} {self.state.value}>"

    # ---- as last seen

    @property
    def name(self) -> str:
        """tenants/{tenant}/jobs/{job}"""
        return self._message.name

    @property
    def state(self) -> State:
        return State(job_pb2.JobState.Name(self._message.state))

    @property
    def pending_reason(self) -> str:
        """Why it waits, while it does."""
        return self._message.pending_reason

    @property
    def error(self) -> str:
        """Why it failed or was cancelled."""
        return self._message.error

    @property
    def progress(self) -> Progress:
        return Progress.of(self._message.progress)

    @property
    def spec(self) -> dict[str, Any]:
        """The job file with its defaults resolved."""
        return _as_dict(self._message.spec)

    @property
    def result(self) -> dict[str, Any]:
        """What it made, by kind ("train", ...); empty until it succeeded."""
        return _as_dict(self._message.result)

    @property
    def attempts(self) -> list[dict[str, Any]]:
        return [_as_dict(attempt) for attempt in self._message.attempts]

    # ---- calls

    def refresh(self) -> Job:
        self._message = self._client._get(self.name)
        return self

    def cancel(self, reason: str = "") -> Job:
        request = job_service_pb2.CancelJobRequest(name=self.name,
                                                   reason=reason)
        self._message = self._client._call("CancelJob", request)
        return self

    def delete(self) -> None:
        """Of a finished job; its outputs on disk stay."""
        self._client._call("DeleteJob",
                           job_service_pb2.DeleteJobRequest(name=self.name))

    def events(self, resume_token: str = "",
               timeout: float | None = None) -> Iterator[Event]:
        """All that happens to the job, from its beginning or after a token.

        Ends with the job. Survives a restart of the coordinator: what was
        missed comes later, nothing comes twice.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = 0.1
        while True:
            try:
                for event in self._stream(resume_token, deadline):
                    resume_token, pause = event.resume_token, 0.1
                    if event.state or event.progress:
                        yield event
                    if event.state and event.state.final:
                        return
            except grpc.RpcError as call:
                if call.code() == grpc.StatusCode.OUT_OF_RANGE:
                    # Too old a token: the job as it is now, and on from there.
                    yield self._now()
                    resume_token = str(self._message.revision)
                    if self.state.final:
                        return
                elif call.code() not in _PASSING:
                    raise errors.error_of(call) from None
            if deadline is not None and time.monotonic() > deadline:
                raise errors.TimedOut(f"{self.name} is {self.state.value}")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def wait(self, timeout: float | None = None,
             progress: bool | Callable[[Event], None] = True) -> Job:
        """Until the job has succeeded; raises JobFailed or JobCancelled.

        progress: True shows a line that is renewed (in a terminal or a
        notebook; a line now and then elsewhere), False nothing, a function
        gets every event.
        """
        line = ProgressLine(self.name) if progress is True else None
        show = line.show if line else (progress or (lambda event: None))
        try:
            for event in self.events(timeout=timeout):
                show(event)
        finally:
            if line:
                line.close()
        self.refresh()
        if self.state is State.FAILED:
            raise errors.JobFailed(self.error)
        if self.state is State.CANCELLED:
            raise errors.JobCancelled(self.error)
        return self

    def log(self, offset: int = 0, follow: bool = False) -> Iterator[bytes]:
        """The job's log in pieces, of a running job to its end on request."""
        request = job_service_pb2.ReadJobLogRequest(
            name=self.name, offset=offset, follow=follow)
        with errors.translated():
            for chunk in self._client._stream("ReadJobLog", request):
                yield chunk.data

    def history(self) -> list[StepRow]:
        """The steps that a train job reported, as far as its log has them:
        lines may be missing after the coordinator was away, and beyond 64 MiB.

        A step that was repeated after a restart is there once, as it came
        out last.
        """
        text = b"".join(self.log()).decode(errors="replace")
        rows = {int(match["step"]): StepRow(
            int(match["step"]), float(match["loss"]), float(match["norm"]),
            float(match["rate"]), float(match["speed"]))
            for match in _STEP.finditer(text)}
        return [rows[step] for step in sorted(rows)]

    def metrics(self) -> Any:
        """history() as a pandas.DataFrame, by step. Needs pandas."""
        try:
            import pandas
        except ImportError:
            raise errors.Error("metrics() needs pandas; history() does not: "
                               "pip install 'longspan[pandas]'") from None
        rows = [dataclasses.asdict(row) for row in self.history()]
        names = [field.name for field in dataclasses.fields(StepRow)]
        return pandas.DataFrame(rows, columns=names).set_index("step")

    # ---- inside

    def _stream(self, resume_token: str,
                deadline: float | None) -> Iterator[Event]:
        left = None
        if deadline is not None:
            left = max(0.0, deadline - time.monotonic())
        request = job_service_pb2.WatchJobRequest(name=self.name,
                                                  resume_token=resume_token)
        call = self._client._stream("WatchJob", request, timeout=left)
        try:
            for message in call:
                yield self._event(message)
        finally:
            call.cancel()

    def _event(self, message: job_service_pb2.JobEvent) -> Event:
        when = message.time.ToDatetime(datetime.timezone.utc)
        kind = message.WhichOneof("event")
        if kind == "deleted":
            raise errors.NotFound(f"{self.name} was deleted")
        if kind == "state_changed":
            self._message = message.state_changed
            return Event(when, state=self.state,
                         resume_token=message.resume_token)
        if kind == "progress":
            return Event(when, progress=Progress.of(message.progress),
                         resume_token=message.resume_token)
        return Event(when, resume_token=message.resume_token)

    def _now(self) -> Event:
        self.refresh()
        return Event(datetime.datetime.now(datetime.timezone.utc),
                     state=self.state,
                     resume_token=str(self._message.revision))


def _as_dict(message: Any) -> dict[str, Any]:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)

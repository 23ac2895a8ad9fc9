"""The way to a coordinator."""

from __future__ import annotations

import json
import os
import pathlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import grpc
from google.protobuf import json_format

from . import errors
from .generation import Generation
from .job import Job, State
from .token_file import read_token_file
from .v1 import job_pb2, job_service_pb2, job_service_pb2_grpc

_TENANT = "tenants/default"
# A call that never reached the coordinator is repeated for a few seconds.
_RETRIES = json.dumps({"methodConfig": [{
    "name": [{"service": "longspan.v1.JobService"}],
    "retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.2s",
                    "maxBackoff": "2s", "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"]}}]})


class Client:
    """A connection to a coordinator. Thread-safe; close it, or use `with`.

    address: HOST:PORT; else LONGSPAN_COORDINATOR, else 127.0.0.1:7600.
    token: what the coordinator's --token-file holds; else the content of the
        file LONGSPAN_TOKEN_FILE. The token travels in the clear: use it on
        networks that you trust.
    timeout: seconds that a call may take; streams have no limit.
    """

    def __init__(self, address: str | None = None, token: str | None = None,
                 timeout: float = 30.0):
        self.address = (address or os.environ.get("LONGSPAN_COORDINATOR")
                        or "127.0.0.1:7600")
        self._timeout = timeout
        self._metadata = _authorization(token)
        self._channel = grpc.insecure_channel(self.address, options=[
            ("grpc.service_config", _RETRIES),
            ("grpc.max_receive_message_length", 64 << 20)])
        self._stub = job_service_pb2_grpc.JobServiceStub(self._channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    # ---- jobs

    def submit(self, job: str | os.PathLike[str] | Mapping[str, Any],
               request_id: str | None = None) -> Job:
        """Accepts a job: a dict, the path of a job file, or its text.

        A text is told from a path by its line breaks. The same request_id
        returns the same job, also after a lost answer.
        """
        answer = self._create(job, request_id or str(uuid.uuid4()), False)
        return Job(self, answer.job)

    def plan(self, job: str | os.PathLike[str] | Mapping[str, Any]
             ) -> dict[str, Any]:
        """What the job would hold and send; or raises why it cannot run."""
        return _as_dict(self._create(job, "", True).plan)

    def job(self, name: str) -> Job:
        """By its name, or the last part of it."""
        return Job(self, self._get(_full(name)))

    def jobs(self, states: Iterable[State | str] = ()) -> Iterator[Job]:
        """All jobs, or those in some states, newest last."""
        request = job_service_pb2.ListJobsRequest(
            parent=_TENANT, page_size=200,
            states=[job_pb2.JobState.Value(State(state).value)
                    for state in states])
        while True:
            answer = self._call("ListJobs", request)
            yield from (Job(self, message) for message in answer.jobs)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def workers(self) -> list[dict[str, Any]]:
        request = job_service_pb2.ListWorkersRequest(page_size=1000)
        return [_as_dict(worker)
                for worker in self._call("ListWorkers", request).workers]

    # ---- generation

    def generate(self, prompt: str | bytes, model: Job | str,
                 max_new_tokens: int = 256, *, step: int = 0,
                 temperature: float | None = None, top_p: float | None = None,
                 top_k: int = 0, seed: int = 0, stop: Iterable[str] = (),
                 ranks: int = 1, backend: str = "cpu", priority: int = 0,
                 log_probabilities: bool = False) -> Generation:
        """Continues a prompt, token by token.

        model: a train job (its newest checkpoint, or that of `step`), its
            name, or the URI of a checkpoint's directory (outputs://...).
        """
        request = job_service_pb2.GenerateRequest(
            parent=_TENANT, request_id=str(uuid.uuid4()), priority=priority)
        request.resources.ranks = ranks
        request.resources.backend = backend
        spec = request.generate
        _set_model(spec, model, step)
        # Bytes that are not ASCII travel as token ids, as of the command line.
        data = prompt.encode() if isinstance(prompt, str) else prompt
        if data.isascii():
            spec.text = data.decode()
        else:
            spec.token_ids.ids.extend(data)
        spec.max_new_tokens = max_new_tokens
        spec.log_probabilities = log_probabilities
        sampling = spec.sampling
        sampling.seed, sampling.top_k = seed, top_k
        sampling.stop.extend(stop)
        if temperature is not None:
            sampling.temperature = temperature
        if top_p is not None:
            sampling.top_p = top_p
        return Generation(self._stream("Generate", request))

    # ---- inside

    def _create(self, job: Any, request_id: str, validate_only: bool) -> Any:
        text, file_name = _text_of(job)
        request = job_service_pb2.CreateJobRequest(
            parent=_TENANT, request_id=request_id,
            validate_only=validate_only)
        request.text.content = text
        request.text.file_name = file_name
        return self._call("CreateJob", request)

    def _get(self, name: str) -> job_pb2.Job:
        return self._call("GetJob", job_service_pb2.GetJobRequest(name=name))

    def _call(self, method: str, request: Any) -> Any:
        with errors.translated():
            return getattr(self._stub, method)(
                request, timeout=self._timeout, metadata=self._metadata)

    def _stream(self, method: str, request: Any,
                timeout: float | None = None) -> Any:
        return getattr(self._stub, method)(request, timeout=timeout,
                                           metadata=self._metadata)


def _authorization(token: str | None) -> list[tuple[str, str]]:
    file = os.environ.get("LONGSPAN_TOKEN_FILE")
    if token is None and file:
        token = read_token_file(file)
    return [("authorization", f"Bearer {token}")] if token else []


def _full(name: str) -> str:
    return name if "/" in name else f"{_TENANT}/jobs/{name}"


def _text_of(job: Any) -> tuple[str, str]:
    """(text, the file's name for messages) of a job in any form."""
    if isinstance(job, Mapping):
        return json.dumps(job, indent=1), "job.json"
    if isinstance(job, str) and "\n" in job:
        return job, "job.yaml"
    path = pathlib.Path(job)
    try:
        return path.read_text(encoding="utf-8"), path.name
    except OSError as error:
        raise errors.NotFound(f"cannot read {path}: {error.strerror}; a job's "
                              "text has several lines") from None


def _set_model(spec: Any, model: Job | str, step: int) -> None:
    name = model.name if isinstance(model, Job) else model
    if "://" in name:
        spec.model.uri = name
    else:
        spec.model.job, spec.model.step = _full(name), step


def _as_dict(message: Any) -> dict[str, Any]:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)

"""What can go wrong, by what a caller may do about it."""

import contextlib

import grpc


class Error(Exception):
    """Anything that Longspan refuses or fails at."""


class InvalidRequest(Error):
    """A mistake in a job file or an argument: correct it.

    `mistakes` has every one, with path and line where a text was sent.
    """

    @property
    def mistakes(self) -> list[str]:
        return [line for line in str(self).splitlines() if line]


class NotFound(Error):
    """No such job, checkpoint or file."""


class AlreadyExists(Error):
    """The request id was used for another job."""


class NotPossible(Error):
    """Not in the present state, for example cancelling a finished job."""


class Unauthenticated(Error):
    """The token is missing or wrong."""


class Unavailable(Error):
    """No coordinator answers. Worth trying again."""


class TimedOut(Error):
    """The time that the caller gave is over; the job goes on."""


class JobFailed(Error):
    """The job failed; the text is its root cause."""


class JobCancelled(Error):
    """The job was cancelled; the text says why."""


_BY_CODE = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: NotPossible,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: Unauthenticated,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: TimedOut,
}


def error_of(call: grpc.RpcError) -> Error:
    """Ours for gRPC's."""
    code, text = call.code(), call.details() or ""
    return _BY_CODE.get(code, Error)(text or code.name)


@contextlib.contextmanager
def translated():
    """Calls in its body raise our errors."""
    try:
        yield
    except grpc.RpcError as call:
        raise error_of(call) from None

"""Tokens as they come."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format

from . import errors


@dataclasses.dataclass(frozen=True)
class Token:
    id: int
    text: bytes  # part of a character, perhaps
    log_probability: float | None = None


class Generation:
    """Iterate for the tokens; afterwards it has the text and what it took.

    A byte-level model may end in the middle of a character: `text` shows
    such bytes as U+FFFD, `data` has them as they are.
    """

    def __init__(self, call: Any):
        self._call = call
        self._tokens = self._read()
        self.job = ""
        self.data = b""
        self.finish_reason = ""  # "length" or "stop", at the end
        self.usage: dict[str, Any] = {}

    def __iter__(self) -> Iterator[Token]:
        return self._tokens

    @property
    def text(self) -> str:
        return self.data.decode(errors="replace")

    def all(self) -> str:
        """Reads to the end; returns the text."""
        for _ in self._tokens:
            pass
        return self.text

    def cancel(self) -> None:
        self._call.cancel()

    def _read(self) -> Iterator[Token]:
        with errors.translated():
            for message in self._call:
                kind = message.WhichOneof("event")
                if kind == "job":
                    self.job = message.job
                elif kind == "done":
                    self._finish(message.done)
                elif kind == "token":
                    yield self._token(message.token)

    def _token(self, token: Any) -> Token:
        self.data += token.text
        known = token.HasField("log_probability")
        return Token(token.id, token.text,
                     token.log_probability if known else None)

    def _finish(self, done: Any) -> None:
        self.finish_reason = done.finish_reason
        self.usage = json_format.MessageToDict(
            done.usage, preserving_proto_field_name=True)

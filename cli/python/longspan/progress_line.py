"""How far a job is, in a line.

In a terminal and in a notebook the line is renewed in place. Where output is
kept (a file, a pipe, a test) a new one is printed now and then, so that logs
stay short.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .job import Event

_BETWEEN_LINES = 10.0  # seconds, where lines stay
_BETWEEN_RENEWALS = 0.2


def _notebook() -> Any:
    """IPython's display function, in a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display
    return display


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:{minutes:02}:{seconds:02}" if hours
            else f"{minutes}:{seconds:02}")


def describe(event: Event) -> str:
    if event.state:
        return event.state.value
    progress = event.progress
    parts = [f"{100 * progress.fraction:5.1f}%",
             f"{progress.done} {progress.unit}"]
    if progress.loss:
        parts.append(f"loss {progress.loss:.4f}")
    if progress.tokens_per_second:
        parts.append(f"{progress.tokens_per_second:,.0f} tokens/s")
    if progress.remaining_seconds is not None:
        parts.append(f"{_duration(progress.remaining_seconds)} left")
    return "  ".join(parts)


class ProgressLine:
    def __init__(self, title: str, out: Any = None):
        self._title = title.rsplit("/", 1)[-1]
        self._out = out or sys.stdout
        self._display = _notebook()
        self._handle: Any = None
        self._renews = self._display is not None or self._out.isatty()
        self._shown = 0.0
        self._width = 0

    def show(self, event: Event) -> None:
        now = time.monotonic()
        pause = _BETWEEN_RENEWALS if self._renews else _BETWEEN_LINES
        if event.progress and now - self._shown < pause:
            return
        self._shown = now
        self._write(f"{self._title}  {describe(event)}")

    def close(self) -> None:
        if self._renews and self._display is None and self._width:
            print(file=self._out, flush=True)

    def _write(self, text: str) -> None:
        if self._display is not None:
            self._write_notebook(text)
        elif self._renews:
            padded = text.ljust(self._width)
            self._width = len(text)
            print(f"\r{padded}", end="", file=self._out, flush=True)
        else:
            print(text, file=self._out, flush=True)

    def _write_notebook(self, text: str) -> None:
        data = {"text/plain": text}
        if self._handle is None:
            self._handle = self._display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)

"""The bar of a sweep: runs done, tokens/s, time left; in a terminal, in a notebook, or as plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections import deque
from types import TracebackType

from scaling.units import print_count

_LINE_SECONDS = 15.0
_SPEED_SECONDS = 10.0


class Progress:
    """Counts what workers report. The bar moves by expected time, so that small and large models weigh alike."""

    def __init__(self, title: str, runs: int, done: int, cost: float, *, shown: bool):
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        self.title, self.runs, self.done, self.cost = title, runs, done, cost
        self.spent = 0.0
        self.tokens: deque[tuple[float, int]] = deque()
        self.started = self.printed = time.monotonic()
        console = Console(stderr=True)
        self.lines = shown and not (console.is_terminal or console.is_jupyter)
        self.bar = Bar(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not shown or self.lines,
            expand=True,
        )
        self.task = self.bar.add_task(title, total=max(cost, 1.0), state=self.state())

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.update(self.task, state=self.state())
        self.bar.stop()
        if self.lines:
            print(f"{self.title}: {self.state()}", file=sys.stderr, flush=True)

    def advance(self, cost: float, tokens: int, *, runs: int = 0) -> None:
        """Add what a worker did since it last reported."""
        now = time.monotonic()
        self.spent += cost
        self.done += runs
        self.tokens.append((now, tokens))
        while self.tokens[0][0] < now - _SPEED_SECONDS:
            self.tokens.popleft()
        self.bar.update(self.task, completed=self.spent, state=self.state())
        if self.lines and now - self.printed > _LINE_SECONDS:
            self.printed = now
            print(f"{self.title}: {self.state()}", file=sys.stderr, flush=True)

    def state(self) -> str:
        """For example "12/40 runs · 84k tokens/s · 2 min 10 s left"."""
        elapsed = time.monotonic() - self.started
        window = max(min(elapsed, _SPEED_SECONDS), 1e-9)
        speed = sum(n for _, n in self.tokens) / window
        words = [f"{self.done}/{self.runs} runs"]
        if self.spent:
            left = max(0.0, elapsed * (self.cost / self.spent - 1))
            words += [f"{print_count(speed, 2)} tokens/s", f"{_duration(left)} left"]
        return " · ".join(words)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"

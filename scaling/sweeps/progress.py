"""The progress of a sweep: each stack at work, runs done, tokens/s, time left; in a terminal, a notebook or a log."""

from __future__ import annotations

import sys
import time
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from scaling.sweeps.job import Message, StackSpec
from scaling.units import print_count

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

_LINE_SECONDS = 15.0
_SPEED_SECONDS = 10.0


class Speed:
    """Tokens per second over the last few seconds."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.heard: deque[tuple[float, int]] = deque()

    def add(self, tokens: int) -> None:
        """Count what was trained since last time."""
        self.heard.append((time.monotonic(), tokens))

    def __str__(self) -> str:
        now = time.monotonic()
        while self.heard and self.heard[0][0] < now - _SPEED_SECONDS:
            self.heard.popleft()
        window = max(min(now - self.started, _SPEED_SECONDS), 1e-9)
        return f"{print_count(sum(n for _, n in self.heard) / window, 2)} tokens/s"


@dataclass
class Row:
    """A stack at work."""

    stack: StackSpec
    attempt: int
    tokens: int = 0
    """Trained since this attempt began."""
    earlier: int = 0
    """Trained before it, as its checkpoint and rows say."""
    loss: float | None = None
    speed: Speed = field(default_factory=Speed)

    def cells(self) -> tuple[str, ...]:
        """Shape, models, steps and of how many, speed, loss, attempt."""
        first, models = self.stack.trunks[0], len(self.stack.trunks)
        a_step = first.tokens_per_step * models
        return (
            f"width {first.width} depth {first.depth}",
            str(models),
            f"{(self.earlier + self.tokens) // a_step:,} of {self.stack.tokens // a_step:,}",
            str(self.speed),
            "" if self.loss is None else f"{self.loss:.3f}",
            str(self.attempt),
        )


class Progress:
    """Counts what workers report. The bar moves by expected time, so that small and large models weigh alike."""

    def __init__(self, title: str, runs: int, done: int, cost: float, *, shown: bool):
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        self.title, self.runs, self.done, self.cost = title, runs, done, cost
        self.spent = 0.0
        self.rows: dict[str, Row] = {}
        self.speed = Speed()
        self.started = self.printed = time.monotonic()
        console = Console(stderr=True)
        self.lines = shown and not (console.is_terminal or console.is_jupyter)
        self.bar = Bar(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            expand=True,
        )
        self.task = self.bar.add_task(title, total=1.0, state=self.state())
        self.live = None
        if shown and not self.lines:
            self.live = Live(console=console, get_renderable=self.render, refresh_per_second=2)

    def __enter__(self) -> Progress:
        if self.live:
            self.live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rows.clear()
        if self.live:
            self.live.refresh()  # in a notebook its end draws nothing
            self.live.stop()
        if self.lines:
            self._print_line()

    def start(self, stack: StackSpec, *, attempt: int) -> None:
        """A stack begins, or begins again."""
        self.rows[stack.id] = Row(stack, attempt)

    def hear(self, stack: StackSpec, message: Message) -> None:
        """Add what a worker says of a stack; what it need not train again leaves the sum."""
        row = self.rows[stack.id]
        row.tokens += message.tokens
        row.earlier += message.earlier_tokens
        row.loss = row.loss if message.loss is None else message.loss
        for speed in (row.speed, self.speed):
            speed.add(message.tokens)
        self.spent += stack.cost * message.tokens / stack.tokens
        self.cost -= stack.cost * message.earlier_tokens / stack.tokens
        self.done += message.run is not None
        if self.lines and time.monotonic() - self.printed > _LINE_SECONDS:
            self._print_line()

    def finish(self, stack: StackSpec, *, done: bool) -> None:
        """A stack has ended; where it is not done, its next attempt trains or finds all of it again."""
        row = self.rows.pop(stack.id)
        self.cost -= stack.cost * (1 - (row.earlier + row.tokens) / stack.tokens)
        if not done:
            self.cost += stack.cost

    def skip(self, cost: float, *, done: int) -> None:
        """Another launcher has finished a stack; so many runs are done now."""
        self.cost -= cost
        self.done = done

    def state(self) -> str:
        """For example "12/40 runs · 84k tokens/s · 2 min 10 s left"."""
        words = [f"{self.done}/{self.runs} runs"]
        if self.spent:
            elapsed = time.monotonic() - self.started
            left = max(0.0, elapsed * (self.cost / self.spent - 1))
            words += [str(self.speed), f"{_duration(left)} left"]
        return " · ".join(words)

    def render(self) -> Group:
        """The table of stacks, where there are any, above the bar."""
        from rich.console import Group

        share = min(self.spent / self.cost, 1.0) if self.cost > 0 else 1.0
        self.bar.update(self.task, completed=share, state=self.state())
        return Group(self.table(), self.bar) if self.rows else Group(self.bar)

    def table(self) -> Table:
        """A row for each stack at work."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for name in ("stack", "models", "steps", "speed", "loss", "attempt"):
            table.add_column(name, justify="left" if name == "stack" else "right")
        for row in list(self.rows.values()):
            table.add_row(*row.cells())
        return table

    def _print_line(self) -> None:
        self.printed = time.monotonic()
        print(f"{self.title}: {self.state()}", file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"

"""The live table of a sweep, in a terminal and as lines of a log."""

from rich.console import Console

from scaling.study import Trunk
from scaling.sweeps.engines.base import Capacity
from scaling.sweeps.job import Message
from scaling.sweeps.progress import Progress
from scaling.sweeps.stacks import stack_trunks

TRUNKS = tuple(Trunk(width=w, seed=s, budgets=(51_200,)) for w in (16, 32) for s in (0, 1))
WIDE, NARROW = stack_trunks(TRUNKS, "c", Capacity())


def drawn(progress):
    console = Console(width=120, color_system=None)
    with console.capture() as captured:
        console.print(progress.render())
    return captured.get()


def test_the_table_shows_every_stack_at_work():
    progress = Progress("two", 4, 0, WIDE.cost + NARROW.cost, shown=False)
    progress.start(WIDE, attempt=1)
    progress.start(NARROW, attempt=2)
    progress.hear(WIDE, Message(tokens=2 * 512 * 30))
    progress.hear(WIDE, Message(loss=2.3456))
    progress.hear(NARROW, Message(run="one"))
    heading, wide, narrow, bar = drawn(progress).splitlines()
    assert heading.split() == ["stack", "models", "steps", "speed", "loss", "attempt"]
    assert wide.split()[:8] == ["width", "32", "depth", "2", "2", "30", "of", "100"]
    assert wide.split()[-2:] == ["2.346", "1"]
    assert narrow.split()[:8] == ["width", "16", "depth", "2", "2", "0", "of", "100"]
    assert narrow.split()[-1] == "2"
    assert "two" in bar and "1/4 runs" in bar
    progress.finish(NARROW, done=False)
    assert "width 16" not in drawn(progress)


def test_what_a_checkpoint_had_is_counted_and_not_waited_for():
    """A quarter was trained, half was there before: the last quarter takes as long as the first."""
    progress = Progress("one", 2, 0, WIDE.cost, shown=False)
    progress.start(WIDE, attempt=1)
    progress.hear(WIDE, Message(tokens=WIDE.tokens // 4))
    for name in ("one", "two"):
        progress.hear(WIDE, Message(run=name))
    progress.started -= 60.0
    assert progress.state().endswith(" 3 min 00 s left")
    progress.hear(WIDE, Message(earlier_tokens=WIDE.tokens // 2))
    assert drawn(progress).splitlines()[1].split()[5:8] == ["75", "of", "100"]
    assert progress.state().endswith(" 1 min 00 s left")
    progress.hear(WIDE, Message(tokens=WIDE.tokens // 4))
    progress.finish(WIDE, done=True)
    assert progress.state().startswith("2/2 runs")
    assert progress.state().endswith(" 0 s left")


def test_an_attempt_that_failed_is_waited_for_again():
    progress = Progress("one", 2, 0, WIDE.cost, shown=False)
    progress.start(WIDE, attempt=1)
    progress.hear(WIDE, Message(tokens=WIDE.tokens // 2))
    progress.finish(WIDE, done=False)
    progress.start(WIDE, attempt=2)
    progress.hear(WIDE, Message(earlier_tokens=WIDE.tokens // 2))
    progress.hear(WIDE, Message(tokens=WIDE.tokens // 2))
    progress.finish(WIDE, done=True)
    assert progress.cost == progress.spent == WIDE.cost


def test_another_launchers_stack_leaves_the_sum():
    progress = Progress("one", 4, 0, WIDE.cost + NARROW.cost, shown=False)
    progress.skip(WIDE.cost, done=2)
    assert progress.cost == NARROW.cost
    assert progress.state() == "2/4 runs"


def test_a_terminal_sees_the_table_and_a_log_sees_lines(monkeypatch, capsys):
    def train():
        with Progress("seen", 2, 0, WIDE.cost, shown=True) as progress:
            progress.start(WIDE, attempt=1)
            progress.hear(WIDE, Message(tokens=WIDE.tokens))
            for name in ("one", "two"):
                progress.hear(WIDE, Message(run=name))
            if progress.live:
                progress.live.refresh()

    train()
    assert capsys.readouterr().err.startswith("seen: 2/2 runs · ")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    train()
    seen = capsys.readouterr().err
    assert "width 32 depth 2" in seen
    assert "2/2 runs" in seen

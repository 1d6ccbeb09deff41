"""Long work shows how far it has come to whoever waits for it, and ends when interrupted."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LONG = """
import numpy as np, scaling
from scaling.laws import chinchilla
rng = np.random.default_rng(0)
N, D = 10 ** rng.uniform(6, 9, 20_000), 10 ** rng.uniform(8, 11, 20_000)
loss = chinchilla(N, D, E=1.7, A=400.0, B=400.0, alpha=0.34, beta=0.28) * np.exp(0.01 * rng.normal(size=20_000))
scaling.fit(chinchilla, {"N": N, "D": D, "loss": loss}, bootstrap=100_000, cluster="rows")
"""

WAIT = """
import time
from scaling.fitting.progress import progress
with progress("refits of mine", 30) as done:
    for _ in range(30):
        done(1)
        time.sleep(0.1)
"""


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def hears_no_interrupt(pid):
    """Whether it has come so far as to leave a terminal's interrupt to who started it."""
    (ignored,) = re.findall(r"SigIgn:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return bool(int(ignored, 16) >> signal.SIGINT - 1 & 1)


def alive(pid):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or len(os.sched_getaffinity(0)) < 2,
    reason="refits fork on two cores",
)
def test_an_interrupted_fit_leaves_no_process_behind():
    fitting = subprocess.Popen(
        [sys.executable, "-c", LONG], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        while fitting.poll() is None:
            if (others := children(fitting.pid)) and all(map(hears_no_interrupt, others)):
                break
            time.sleep(0.05)
        time.sleep(0.5)
        os.killpg(fitting.pid, signal.SIGINT)  # as a terminal does: all of them hear it
        words = fitting.communicate(timeout=300)[1]
    finally:
        fitting.kill()
    assert others and not any(map(alive, others))
    assert words.rstrip().endswith("KeyboardInterrupt")
    assert words.count("Traceback") == 1


def test_long_work_shows_a_bar_in_a_terminal():
    screen, stderr = pty.openpty()
    ran = subprocess.Popen([sys.executable, "-c", WAIT], stderr=stderr, stdout=subprocess.PIPE)
    os.close(stderr)
    shown = b""
    while True:
        try:
            shown += (part := os.read(screen, 1 << 16))
        except OSError:  # the other end has gone
            break
        if not part:
            break
    assert ran.communicate()[0] == b"" and ran.returncode == 0
    assert b"refits of mine" in shown and b"/30" in shown


def test_long_work_shows_nothing_in_a_pipe():
    ran = subprocess.run([sys.executable, "-c", WAIT], capture_output=True, check=True)
    assert (ran.stdout, ran.stderr) == (b"", b"")

"""What launcher and workers say to each other, and what a worker needs beside torch."""

import subprocess
import sys
from dataclasses import replace

import pytest

from scaling.study import Trunk
from scaling.sweeps.engines.base import Asked
from scaling.sweeps.job import Job, Message, StackSpec
from scaling.sweeps.mode import Mode
from scaling.sweeps.plan import stacks_begun

STACK = StackSpec(
    (Trunk.of(width=16, budgets=(8192,)), Trunk.of(width=16, seed=1, budgets=(4096, 8192))), "c"
)


@pytest.fixture
def job(tmp_path):
    mode = Mode(precision="bf16", passes=2)
    return Job(study="s", folder=tmp_path, corpus=tmp_path / "text", stack=STACK, device="cuda", mode=mode)


def test_a_job_is_the_same_on_the_other_side(job):
    assert Job.read(job.write()) == job


def test_a_message_is_the_same_on_the_other_side():
    for message in (
        Message(tokens=512, loss=2.5),
        Message(run="one"),
        Message(problem="a\nb"),
        Message(done=True),
    ):
        assert "\n" not in str(message)
        assert Message.read(str(message)) == message
    assert str(Message(tokens=512)) == '{"tokens": 512}'


@pytest.mark.parametrize("line", ['{"tokens": 5', "warning: a library speaks", "[1]", '{"unheard": 1}', "7"])
def test_a_line_that_is_no_message_is_passed_over(line):
    assert Message.read(line) is None


def test_stacks_that_were_begun_are_those_with_a_checkpoint_and_a_job_of_this_corpus(job):
    """Beside them a checkpoint without a job, and a job as an older version wrote it."""
    other = replace(job, stack=StackSpec(STACK.trunks[:1], "another"))
    for one in (job, other):
        one.write()
    (job.folder / "jobs" / "older.json").write_text('{"pack": "older", "trunks": []}')
    for name in (job.stack.id, other.stack.id, "older", "jobless"):
        (job.folder / "checkpoints" / name).mkdir(parents=True)
    assert stacks_begun(job.folder, "c") == []
    for name in (job.stack.id, other.stack.id, "older", "jobless"):
        (job.folder / "checkpoints" / name / "step-000000016.safetensors").touch()
    assert stacks_begun(job.folder, "c") == [STACK]


@pytest.mark.parametrize(
    ("module", "absent"), [("worker", {"torch"}), ("carry_out", {"torch._dynamo", "sympy"})]
)
def test_a_worker_loads_torch_late_and_beside_it_nothing_that_takes_long(module, absent):
    code = f"import sys, scaling.sweeps.job, scaling.train.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"polars", "scipy", "rich", "click", "lmfit", "tokenizers", *absent} & set(loaded.split())


def test_steps_are_computed_as_asked_and_as_the_device_can():
    assert Asked().mode(1, gpu=True) == Mode(precision="bf16", graph=True)
    assert Asked().mode(2, gpu=False) == Mode(passes=2)
    assert Asked(ranks=2, precision="fp32", compile=True).mode(1, gpu=True) == Mode(compile=True)

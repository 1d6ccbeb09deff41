"""Processes that train one stack together, here two of a CPU, compute what one of them would alone."""

import os
import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as processes

from scaling.corpora.corpus import Corpus
from scaling.flops import count_parameters
from scaling.study import Trunk
from scaling.sweeps.mode import Mode
from scaling.train.gradient import Gradient
from scaling.train.losses import NEXT_TOKEN, Preferences, WeightedTokens
from scaling.train.ranks import SharedGradient
from scaling.train.stack import Stack

TRUNK = Trunk.of(width=16, budgets=(4096,), context=32, tokens_per_step=160, score_head=True)
"""Of five windows a step, of which one rank has three."""
TRUNKS = [TRUNK.but(optimizer="muon", average_gamma=17, seed=seed) for seed in (0, 1)]
CASES = {
    "next token": (NEXT_TOKEN, Mode()),
    "in passes": (NEXT_TOKEN, Mode(passes=2)),
    "weighted tokens": (WeightedTokens(), Mode(passes=2)),
    "a head of its own": (Preferences(), Mode()),
    "bf16": (NEXT_TOKEN, Mode(precision="bf16")),
}


def gradient(of, loss, mode):
    """Of three models with no weight at zero in double precision, on invented batches."""
    torch.manual_seed(0)
    weights = 0.2 * torch.randn(3, count_parameters(TRUNK.model).total, dtype=torch.float64)
    tokens = torch.randint(TRUNK.model.vocabulary, (3, 5, 33))
    pairs = {"inputs": tokens[..., :32].reshape(3, 5, 2, 16), "last": torch.randint(16, (3, 5, 2))}
    batch = pairs if "last" in loss.reads else {"tokens": tokens, "weights": torch.rand(3, 5, 32)}
    return of(weights, TRUNK, mode, loss).fill({name: batch[name] for name in loss.reads})


def moved(corpus):
    """A stack after a trunk's steps, a branch's, and some more of the trunk's."""
    stack = Stack(TRUNKS, corpus, torch.device("cpu"))
    if dist.is_initialized() and dist.get_rank():
        stack.follow()
        return stack
    stack.advance(4, lambda _: 1.0)
    trunk = stack.fork()
    stack.advance(8, lambda step: 1 - step / 8)
    stack.restore(trunk, 4)
    stack.advance(6, lambda _: 1.0)
    stack.release()
    return stack


def work(rank, port, corpus, out):
    """What each of two processes does: all cases, and a stack's way."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    shared = {name: gradient(SharedGradient, *case).clone() for name, case in CASES.items()}
    torch.save(shared | {"state": moved(Corpus.load(corpus)).state()}, out / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture
def shared(corpus, tmp_path):
    """What ranks 0 and 1 came to."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    processes.spawn(work, (port, corpus.folder, tmp_path), nprocs=2)
    return [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]


def test_two_ranks_match_one_process(corpus, shared):
    """Gradients of every loss in double precision to 1e-7, the precision of a batch's weights, in bf16 by its rounding;
    a trunk with a branch to some parts in 100,000, and both ranks to the last bit."""
    for name, case in CASES.items():
        alone = gradient(Gradient, *case)
        assert torch.equal(shared[0][name], shared[1][name])
        assert float((shared[0][name] - alone).norm() / alone.norm()) < (0.05 if name == "bf16" else 1e-7)
        assert float(alone.norm()) > 0
    for name, alone in moved(corpus).state().items():
        assert torch.equal(shared[0]["state"][name], shared[1]["state"][name])
        assert torch.allclose(shared[0]["state"][name], alone, rtol=1e-3, atol=1e-5)

"""The training core: a stack is the models alone, a resumed run is the run, and models learn."""

import numpy as np
import pytest
import torch

from scaling.corpora.sampler import held_out_windows
from scaling.flops import ACTIVATIONS, count_parameters
from scaling.study import Trunk
from scaling.study.parts import COOLDOWNS, OPTIMIZERS
from scaling.train import checkpoint
from scaling.train.fastpath import _norm
from scaling.train.feed import AHEAD, Feed
from scaling.train.model import initial_weights, layout, matrix_views
from scaling.train.optim import BETA1, EPSILON, AdamW, orthogonal
from scaling.train.schedule import cooldown_share, trunk_share
from scaling.train.stack import Stack

CPU = torch.device("cpu")
TRUNKS = [
    Trunk.of(width=16, budgets=(4096,), context=32, tokens_per_step=128, seed=0),
    Trunk.of(width=16, budgets=(4096,), context=32, tokens_per_step=128, seed=1, peak_lr=0.01),
    Trunk.of(
        width=16,
        budgets=(4096,),
        context=32,
        tokens_per_step=128,
        seed=2,
        unique_budget=1024,
        weight_decay=0.1,
    ),
    Trunk.of(width=16, budgets=(4096,), context=32, tokens_per_step=128, seed=3, blend=(("code", 1.0),)),
]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def constant(step):
    return 1.0


@pytest.mark.parametrize(("optimizer", "fused_size"), [("adamw", 0), ("adamw", 2**30), ("muon", 2**30)])
def test_each_stacked_run_is_bit_identical_to_the_run_alone_and_resumed(
    corpus, tmp_path, monkeypatch, optimizer, fused_size
):
    monkeypatch.setattr("scaling.train.optim.FUSED_SIZE", fused_size)
    trunks = [t.but(optimizer=optimizer) for t in TRUNKS]
    together = Stack(trunks, corpus, CPU)
    together.advance(100, constant)
    checkpoint.save(tmp_path, 100, together.state(), {})
    resumed = Stack(trunks, corpus, CPU)
    tensors, facts, damaged = checkpoint.load_newest(tmp_path)
    assert damaged == []
    resumed.restore(tensors, facts["step"])
    resumed.advance(200, constant)
    for k, trunk in enumerate(trunks):
        alone = Stack([trunk], corpus, CPU)
        alone.advance(200, constant)
        assert torch.equal(alone.weights[0], resumed.weights[k])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_losses_are_invariant_to_the_device(corpus):
    """The same seeds and batches on CPU and GPU: fifty steps apart by rounding only, 1 % of the loss at the most."""
    windows = held_out_windows(corpus, "code", 32, 64)
    losses = []
    for device in (CPU, torch.device("cuda")):
        stack = Stack(TRUNKS, corpus, device)
        stack.advance(50, constant)
        losses.append(stack.evaluate(windows).mean(1))
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


def test_branch_leaves_its_trunk_as_it_was(corpus):
    straight, branched = Stack(TRUNKS[:2], corpus, CPU), Stack(TRUNKS[:2], corpus, CPU)
    branched.advance(20, constant)
    trunk = branched.fork()
    branched.advance(30, lambda step: cooldown_share(step, 20, 30, "linear"))
    branched.restore(trunk, 20)
    for stack in (straight, branched):
        stack.advance(40, constant)
    assert torch.equal(straight.weights, branched.weights)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_training_beats_the_unigram_entropy_of_its_text(corpus, activation):
    """A model that only learned how often each byte occurs would stop at the unigram entropy."""
    trunk = Trunk.of(
        width=32, budgets=(65536,), context=32, tokens_per_step=512, warmup_tokens=8192, activation=activation
    )
    stack = Stack([trunk], corpus, CPU)
    windows = held_out_windows(corpus, "code", 32, 64)
    assert stack.evaluate(windows).mean() == pytest.approx(np.log(256), rel=1e-6)  # zero head, uniform guess
    stack.advance(250, lambda step: trunk_share(step, 16))
    counts = np.bincount(corpus.tokens("code"), minlength=256) + 1
    unigram = -np.log(counts / counts.sum())[windows[:, 1:]].mean()
    assert stack.evaluate(windows).mean() < unigram - 0.3


@pytest.mark.parametrize("fused", [True, False])
def test_adamw_matches_torchs_own(monkeypatch, fused):
    monkeypatch.setattr("scaling.train.optim.FUSED_SIZE", 0 if fused else 2**30)
    torch.manual_seed(0)
    weights, multipliers = torch.randn(2, 50, dtype=torch.float64), torch.ones(50, dtype=torch.float64)
    gradients = torch.randn(8, 2, 50, dtype=torch.float64)
    rates, decay = torch.tensor([[0.01], [0.1]], dtype=torch.float64), torch.tensor([[0.0], [0.3]]).double()
    rows = [torch.nn.Parameter(w.clone()) for w in weights]
    theirs = [
        torch.optim.AdamW([row], lr=float(r), betas=(BETA1, 0.97), eps=EPSILON, weight_decay=float(d))
        for row, r, d in zip(rows, rates, decay, strict=True)
    ]
    ours = AdamW(weights, multipliers, beta2=0.97, weight_decay=decay)
    for count, gradient in enumerate(gradients, 1):
        ours.count(count)
        ours.step(weights, gradient, rates)
        for row, optimizer, g in zip(rows, theirs, gradient, strict=True):
            row.grad = g.clone()
            optimizer.step()
    assert torch.allclose(weights, torch.stack([r.detach() for r in rows]), rtol=1e-9)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("width, tokens_per_step", [(16, 128), (16, 512), (64, 128)])
def test_half_life_of_the_weights_is_invariant_to_width_batch_and_rate(
    corpus, optimizer, width, tokens_per_step
):
    """Without a gradient, weights that have seen one half-life of tokens are half of what they were."""
    trunks = [
        Trunk.of(width=width, context=32, budgets=(8192,), tokens_per_step=tokens_per_step, peak_lr=rate, seed=1,
              optimizer=optimizer, decay_half_life=4096)
        for rate in (0.001, 0.02)
    ]  # fmt: skip
    stack = Stack(trunks, corpus, CPU)
    before = stack.weights.clone()
    for _ in range(4096 // tokens_per_step):
        stack.optimizer.count(1)
        stack.optimizer.step(stack.weights, torch.zeros_like(before), stack.peak)
    assert torch.allclose(stack.weights, before / 2, rtol=1e-4)


@pytest.mark.parametrize("rows, columns", [(8, 8), (8, 24), (24, 8)])
def test_orthogonal_keeps_the_singular_vectors_and_moves_the_values_to_about_one(rows, columns):
    torch.manual_seed(0)
    matrices = torch.randn(3, rows, columns, dtype=torch.float64)
    u, values, v = torch.linalg.svd(matrices, full_matrices=False)
    kept = u.transpose(1, 2) @ orthogonal(matrices) @ v.transpose(1, 2)
    diagonal = torch.diagonal(kept, dim1=1, dim2=2)
    assert torch.allclose(kept, torch.diag_embed(diagonal), atol=1e-9)
    settled = diagonal[values > 0.1 * values.amax(1, keepdim=True)]
    assert 0.6 < float(settled.min()) <= float(settled.max()) < 1.3
    assert torch.equal(orthogonal(matrices)[1], orthogonal(matrices[1:2])[0])


def test_losses_are_invariant_to_the_windows_of_an_evaluation_pass(corpus, monkeypatch):
    stack = Stack(TRUNKS[:2], corpus, CPU)
    stack.advance(20, constant)
    windows = held_out_windows(corpus, "code", 32, 50)
    at_once, seen, plain = stack.evaluate(windows), [], stack.net.token_losses
    monkeypatch.setattr("scaling.sweeps.cost.EVALUATION_LOGITS", 2**17)
    monkeypatch.setattr(
        stack.net, "token_losses", lambda views, tokens: seen.append(tokens.shape[1]) or plain(views, tokens)
    )
    assert stack.evaluate(windows) == pytest.approx(at_once, rel=1e-6)
    assert len(seen) == 7 and max(seen) * 2 * 32 * 256 <= 2**17


def logit_spread(corpus, width, optimizer="adamw"):
    """Standard deviation of the logits on held-out text after five steps, the constant of each position taken out."""
    trunk = Trunk.of(
        width=width,
        optimizer=optimizer,
        budgets=(4096,),
        context=32,
        tokens_per_step=512,
        peak_lr=0.001,
    )
    stack = Stack([trunk], corpus, CPU)
    stack.advance(5, constant)
    windows = torch.from_numpy(held_out_windows(corpus, "code", 32, 32))
    logits = stack.forward.logits(stack.views, windows[None, :, :-1])
    return float((logits - logits.mean(-1, keepdim=True)).std())


def test_logits_are_invariant_to_width_under_one_rate(corpus, monkeypatch):
    """Coordinate check: measured 1.2 over a factor of eight in width, and more than 10 without the multipliers."""
    widths = (16, 32, 64, 128)
    scaled = [logit_spread(corpus, w) for w in widths]
    assert max(scaled) / min(scaled) < 1.5
    monkeypatch.setattr(
        "scaling.train.stack.rate_multipliers", lambda shape, _: torch.ones(count_parameters(shape).total)
    )
    unscaled = [logit_spread(corpus, w) for w in widths]
    assert max(unscaled) / min(unscaled) > 4


def test_logits_are_invariant_to_width_under_muon(corpus):
    """Measured 1.6, without a trend, over a factor of eight in width."""
    spreads = [logit_spread(corpus, w, optimizer="muon") for w in (16, 32, 64, 128)]
    assert max(spreads) / min(spreads) < 2


def residual_size(corpus, monkeypatch, depth):
    """Root mean square of what the blocks have added to the residual stream on held-out text after five steps."""
    trunk = Trunk.of(
        width=32,
        depth=depth,
        budgets=(4096,),
        context=32,
        tokens_per_step=512,
        peak_lr=0.001,
        warmup_tokens=0,
    )
    stack = Stack([trunk], corpus, CPU)
    stack.advance(5, constant)
    seen = []
    with monkeypatch.context() as patched:
        patched.setattr("scaling.train.fastpath._norm", lambda x: seen.append(x.clone()) or _norm(x))
        stack.evaluate(held_out_windows(corpus, "code", 32, 32))
    streams = [x for x in seen if x.shape[-1] == 32]
    return float((streams[-1] - streams[1]).square().mean().sqrt())


def test_residual_stream_is_invariant_to_depth_under_one_rate(corpus, monkeypatch):
    """Coordinate check over depth: the blocks' sum stays, and grows with their number without the multiplier."""
    depths = (2, 4, 8, 16)
    scaled = [residual_size(corpus, monkeypatch, d) for d in depths]
    unscaled = []
    for depth in depths:
        monkeypatch.setattr("scaling.train.fastpath.BASE_DEPTH", depth)
        unscaled.append(residual_size(corpus, monkeypatch, depth))
    assert max(scaled) / min(scaled) < 1.5
    assert max(unscaled) / min(unscaled) > 4


def test_resident_batches_match_the_samplers(corpus):
    """Bit for bit over epochs, blends and unique budgets, also from the middle and across what is dealt at once."""
    samplers = [t.sampler(corpus) for t in TRUNKS]
    resident, read = Feed(samplers, CPU, resident=True), Feed(samplers, CPU)
    for step in (0, 1, 7, AHEAD - 1, AHEAD, 3 * AHEAD + 5, 2):
        assert torch.equal(resident(step)["tokens"], read(step)["tokens"])


def test_initial_weights_depend_on_their_own_seed_alone():
    shape = TRUNKS[0].model
    assert torch.equal(initial_weights(shape, [3, 7])[1], initial_weights(shape, [7])[0])
    views = matrix_views(initial_weights(shape, [0]), shape)
    for matrix in layout(shape):
        assert float(views[matrix.name].std()) == pytest.approx(matrix.init_std, rel=0.15, abs=0)


def test_cooldown_falls_from_one_to_nearly_zero():
    for shape in COOLDOWNS:
        shares = [cooldown_share(s, 80, 100, shape) for s in range(80, 100)]
        assert shares[0] == 1
        assert shares == sorted(shares, reverse=True)
        assert shares[-1] < 0.06
    assert trunk_share(0, 4) == pytest.approx(0.2)
    assert trunk_share(4, 4) == trunk_share(99, 4) == 1


def test_checkpoint_falls_back_to_the_one_before_a_damaged_one(tmp_path):
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, {"weights": torch.full((4,), float(step))}, {})
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) == checkpoint.KEPT
    data = bytearray(files[-1].read_bytes())
    data[-3] ^= 1
    files[-1].write_bytes(data)
    tensors, facts, damaged = checkpoint.load_newest(tmp_path)
    assert facts["step"] == 2
    assert float(tensors["weights"][0]) == 2
    assert "checksum" in damaged[0]


def test_checkpoint_names_that_none_is_whole(tmp_path):
    checkpoint.save(tmp_path, 1, {"weights": torch.zeros(4)}, {})
    file = next(tmp_path.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(checkpoint.CorruptCheckpoint, match="Delete it to train that stack from its start"):
        checkpoint.load_newest(tmp_path)

"""The plain model beside one written with torch's own layers, and the fast path beside the plain model."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from scaling.flops import ACTIVATIONS, Shape, count_parameters
from scaling.train.fastpath import FastPath
from scaling.train.gradient import Autograd
from scaling.train.losses import NEXT_TOKEN
from scaling.train.model import (
    ATTENTION_LOGIT_BOUND,
    BASE_DEPTH,
    NORM_EPSILON,
    ROTARY_BASE,
    Forward,
    initial_weights,
    matrix_views,
)

CPU = torch.device("cpu")
SHAPE = Shape(width=32, depth=2, context=24, vocabulary=50)
SHAPES = [
    replace(SHAPE, **changed)
    for changed in (
        *({"activation": name} for name in ACTIVATIONS),
        {"depth": 3, "head_dim": 8},
        {"score_head": True},
        {"neighbours": 2},
        {"neighbours": 30},  # more than a window has
    )
]


def plain_losses(weights, shape, tokens):
    """Losses of one model, `[windows, context]`, for autograd."""

    def norm(x):
        return F.rms_norm(x, x.shape[-1:], eps=NORM_EPSILON)

    def turn(x):
        a, b = x[..., ::2], x[..., 1::2]
        places = torch.arange(shape.context, dtype=x.dtype)[:, None]
        turns = torch.arange(0, shape.head_dim, 2, dtype=x.dtype) / shape.head_dim
        angles = places * ROTARY_BASE**-turns
        return torch.stack(
            (a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()), -1
        ).flatten(-2)

    def heads(x):
        return x.unflatten(-1, (shape.heads, shape.head_dim)).transpose(1, 2)

    x = F.embedding(tokens[:, :-1], weights["embedding"])
    earlier = range(1, min(shape.neighbours, shape.context - 1) + 1)
    x = norm(x + sum(F.pad(x, (0, 0, d, 0))[:, :-d] * weights["mix"][d - 1] for d in earlier))
    for block in range(shape.depth):
        q, k, v = map(heads, (norm(x) @ weights[f"{block}.qkv"]).chunk(3, -1))
        scale = ATTENTION_LOGIT_BOUND / shape.head_dim
        mixed = F.scaled_dot_product_attention(turn(norm(q)), turn(norm(k)), v, is_causal=True, scale=scale)
        x = x + BASE_DEPTH / shape.depth * mixed.transpose(1, 2).flatten(2) @ weights[f"{block}.out"]
        up = norm(x) @ weights[f"{block}.up"]
        if shape.activation == "relu2":
            hidden = F.relu(up).square()
        else:
            gate, value = up.chunk(2, -1)
            hidden = F.silu(gate) * value
        x = x + BASE_DEPTH / shape.depth * hidden @ weights[f"{block}.down"]
    logits = norm(x) @ weights["head"]
    losses = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    return losses.view(len(tokens), -1)


@pytest.fixture(params=SHAPES, ids=str)
def models(request):
    """A shape, weights of two models in double precision, none of them zero, and tokens for them."""
    shape = request.param
    torch.manual_seed(0)
    weights = torch.randn(2, count_parameters(shape).total, dtype=torch.float64) * 0.1
    return shape, weights, torch.randint(shape.vocabulary, (2, 3, shape.context + 1))


def gradient(of, models):
    shape, weights, tokens = models
    into = torch.full_like(weights, torch.nan)
    total = NEXT_TOKEN.total({"tokens": tokens})
    of(matrix_views(weights, shape), {"tokens": tokens}, total, matrix_views(into, shape))
    return into


def test_forward_matches_torchs_own_layers(models):
    shape, weights, tokens = models
    views = matrix_views(weights, shape)
    losses = Forward(shape, CPU, torch.float64).token_losses(views, tokens)
    for k in range(2):
        mine = {name: view[k] for name, view in views.items()}
        assert torch.allclose(losses[k], plain_losses(mine, shape, tokens[k]), rtol=1e-12)


@pytest.mark.parametrize("few_scores", [0, 2**30])
def test_fast_path_matches_the_plain_model_and_autograd(monkeypatch, models, few_scores):
    """In double precision, so that nothing but the order of sums differs."""
    monkeypatch.setattr("scaling.train.attention.FEW_SCORES", few_scores)
    shape, weights, tokens = models
    plain, fast = Forward(shape, CPU, torch.float64), FastPath(shape, CPU, torch.float64)
    views = matrix_views(weights, shape)
    assert torch.allclose(fast.token_losses(views, tokens), plain.token_losses(views, tokens), rtol=1e-12)
    expected = gradient(Autograd(plain, NEXT_TOKEN, compiled=False), models)
    assert torch.allclose(gradient(fast.gradient, models), expected, rtol=1e-10, atol=1e-14)


def test_loss_of_a_token_beyond_all_doubt_matches_the_plain_model():
    """Other tokens a thousand nats above it: exp of that is no number, in any precision."""
    torch.manual_seed(0)
    weights = torch.randn(2, count_parameters(SHAPE).total) * 0.1
    views, tokens = matrix_views(weights, SHAPE), torch.randint(SHAPE.vocabulary, (2, 3, SHAPE.context + 1))
    views["head"].mul_(1000.0)
    losses = FastPath(SHAPE, CPU).token_losses(views, tokens)
    assert losses.max() > 100
    assert torch.allclose(losses, Forward(SHAPE, CPU).token_losses(views, tokens), rtol=1e-4)


def test_untrained_model_guesses_uniformly():
    shape = Shape(width=16, vocabulary=50)
    losses = FastPath(shape, CPU).token_losses(
        matrix_views(initial_weights(shape, [0]), shape), torch.randint(50, (1, 2, 129))
    )
    assert losses.numpy() == pytest.approx(torch.log(torch.tensor(50.0)).item(), rel=1e-6)

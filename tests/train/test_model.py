"""The model beside a plain one written with torch's own layers: the same losses, and autograd's gradient."""

import pytest
import torch
import torch.nn.functional as F

from scaling.flops import ACTIVATIONS, Shape, count_parameters
from scaling.train.model import (
    ATTENTION_LOGIT_BOUND,
    BASE_DEPTH,
    NORM_EPSILON,
    ROTARY_BASE,
    Transformer,
    initial_weights,
    matrix_views,
)

CPU = torch.device("cpu")


def plain_losses(weights, shape, tokens):
    """Losses of one model, `[windows, context]`, for autograd."""

    def norm(x):
        return F.rms_norm(x, x.shape[-1:], eps=NORM_EPSILON)

    def turn(x):
        a, b = x[..., ::2], x[..., 1::2]
        places = torch.arange(shape.context)[:, None]
        angles = places * ROTARY_BASE ** (-torch.arange(0, shape.head_dim, 2) / shape.head_dim)
        return torch.stack(
            (a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()), -1
        ).flatten(-2)

    def heads(x):
        return x.unflatten(-1, (shape.heads, shape.head_dim)).transpose(1, 2)

    x = norm(F.embedding(tokens[:, :-1], weights["embedding"]))
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
    return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none").view(
        len(tokens), -1
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("few_scores", [0, 2**30])
def test_losses_and_gradient_match_a_plain_model(monkeypatch, activation, depth, few_scores):
    """Sums in another order alone: 1e-5 of the largest entry of each matrix's gradient, measured 2e-7 to 1.3e-6."""
    monkeypatch.setattr("scaling.train.attention.FEW_SCORES", few_scores)
    shape = Shape(width=32, depth=depth, context=24, vocabulary=50, activation=activation)
    torch.manual_seed(0)
    weights = torch.randn(2, count_parameters(shape).total) * 0.1  # nothing starts at zero, every term counts
    tokens = torch.randint(50, (2, 3, 25))
    net, gradient = Transformer(shape, CPU), torch.full_like(weights, torch.nan)
    views, written = matrix_views(weights, shape), matrix_views(gradient, shape)
    losses = net.token_losses(views, tokens)
    net.gradient(views, tokens, written)
    for k in range(2):
        leaves = {name: view[k].clone().requires_grad_() for name, view in views.items()}
        expected = plain_losses(leaves, shape, tokens[k])
        assert torch.allclose(losses[k], expected, rtol=1e-5)
        expected.mean().backward()
        for name, leaf in leaves.items():
            assert torch.allclose(
                written[name][k], leaf.grad, rtol=0, atol=1e-5 * float(leaf.grad.abs().max())
            )


def test_untrained_model_guesses_uniformly():
    shape = Shape(width=16, vocabulary=50)
    losses = Transformer(shape, CPU).token_losses(
        matrix_views(initial_weights(shape, [0]), shape), torch.randint(50, (1, 2, 129))
    )
    assert losses.numpy() == pytest.approx(torch.log(torch.tensor(50.0)).item(), rel=1e-6)

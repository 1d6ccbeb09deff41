from dataclasses import replace

import numpy as np
import pytest

from scaling.errors import BadValue, StudyError
from scaling.flops import CONVENTIONS, Shape, count_flops, count_parameters, ladder

SHAPES = [
    Shape(width=16),
    Shape(width=64, depth=3, context=64),
    Shape(width=128, head_dim=32, vocabulary=512),
    Shape(width=48, context=256, activation="swiglu"),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_flops_of_each_component_match_torchs_own_counter(shape, monkeypatch):
    """Within 0.1 %, by differences of what torch counts over the way there and back: a block is what one more of them
    adds, the head is what is left beside the blocks, and attention is what its plain products (which compute all T²
    scores) add to the products with the matrices."""
    pytest.importorskip("torch")
    windows = 6
    exact = count_flops(shape, windows * shape.context)
    deeper = replace(shape, depth=shape.depth + 1)
    monkeypatch.setattr(
        "scaling.train.attention.FEW_SCORES", 0
    )  # torch's kernel, which the counter leaves out
    matrices_and_head, one_block_more = (torchs_count(s, windows) for s in (shape, deeper))
    matrices = shape.depth * (one_block_more - matrices_and_head)
    monkeypatch.setattr("scaling.train.attention.FEW_SCORES", 2**30)
    monkeypatch.setattr("scaling.train.attention.HALVED", 2**30)
    attention = torchs_count(shape, windows) - matrices_and_head
    assert matrices == pytest.approx(exact.matrices, rel=1e-3)
    assert matrices_and_head - matrices == pytest.approx(exact.head, rel=1e-3)
    assert attention == pytest.approx(exact.attention_full, rel=1e-3)


def torchs_count(shape, windows):
    """FLOPs of the batched products in a training step of two models, as `FlopCounterMode` counts them."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from scaling.train.fastpath import FastPath
    from scaling.train.model import initial_weights, matrix_views

    weights = initial_weights(shape, [0, 1])
    tokens = torch.randint(0, shape.vocabulary, (2, windows // 2, shape.context + 1))
    written_over = {  # torch itself counts only products that make a new tensor
        torch.ops.aten.baddbmm_: lambda own, a, b, **_: 2 * a[0] * a[1] * a[2] * b[2]
    }
    with FlopCounterMode(display=False, custom_mapping=written_over) as counter:
        into = matrix_views(torch.empty_like(weights), shape)
        FastPath(shape, torch.device("cpu")).gradient(
            matrix_views(weights, shape), {"tokens": tokens}, torch.full((2,), tokens[0, :, 1:].numel()), into
        )
    counted = counter.get_flop_counts()["Global"]
    return sum(flops for operation, flops in counted.items() if "bmm" in str(operation))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_causal_attention_is_the_half_of_the_scores_below_the_diagonal_and_the_diagonal(shape):
    """Of T² pairs of positions a causal model uses those in which the key is not after the query."""
    used = np.tril(np.ones((shape.context, shape.context))).mean()
    flops = count_flops(shape)
    assert flops.attention_causal == pytest.approx(flops.attention_full * used)
    assert flops.total == flops.matrices + flops.attention_causal + flops.head
    assert flops.embedding == 0


def test_parameters_are_the_weights_that_exist():
    from scaling.train.model import initial_weights

    for shape in SHAPES:
        parameters = count_parameters(shape)
        assert parameters.total == initial_weights(shape, [0]).numel()
        assert parameters.matrices == pytest.approx(12 * shape.depth * shape.width**2, rel=0.05)
        if shape.activation == "relu2":
            assert parameters.matrices == 12 * shape.depth * shape.width**2


def test_conventions_agree_where_attention_and_head_vanish():
    """At great width and short context every convention tends to 6ND."""
    shape = Shape(width=2**16, depth=64, head_dim=128, context=128)
    values = [count(shape, 1.0) for count in CONVENTIONS.values()]
    assert max(values) / min(values) < 1.01


def test_flops_are_linear_in_tokens():
    assert count_flops(SHAPES[0], 1000).total == pytest.approx(1000 * count_flops(SHAPES[0]).total)


def test_shape_names_a_width_that_heads_do_not_divide():
    with pytest.raises(BadValue, match="width = 40, but it must be a multiple of head_dim = 16"):
        Shape(width=40)
    with pytest.raises(BadValue, match="at least 1"):
        Shape(width=0)
    with pytest.raises(BadValue, match="relu2 or swiglu"):
        Shape(width=16, activation="gelu")


@pytest.mark.parametrize("N", [6e3, 25e3, 1e5, 1e6, 1e7, 124e6, 1.5e9])
def test_ladder_recovers_the_size_that_was_asked_for(N):
    """Within what a whole number of heads allows: a quarter at the smallest, a tenth from a million on."""
    N_of_shape = count_parameters(ladder(N)).matrices
    assert N_of_shape == pytest.approx(N, rel=0.25 if N < 1e6 else 0.1)


def test_ladder_matches_gpt2_small_and_names_a_size_below_one_head():
    shape = ladder(85e6, head_dim=64)
    assert (shape.depth, shape.width, shape.heads) == (12, 768, 12)
    assert ladder(85e6) == shape
    assert ladder(1e5).depth == 2
    assert ladder(1e6, depth=4).depth == 4
    with pytest.raises(BadValue, match="at least 1,536"):
        ladder(1000)


def test_ladder_gives_wide_models_the_heads_of_gpt2():
    """Heads of 64 from width 512 on, of 16 below; at 124M 13 heads a block are 116.3M weights."""
    shape = ladder(124e6)
    assert (shape.depth, shape.width, shape.head_dim) == (14, 832, 64)
    assert count_parameters(shape).matrices == 116_293_632
    for N in (1e4, 1e6, 1e7, 2e7, 3e7, 7e7, 4e8, 1.5e9):
        shape = ladder(N)
        assert shape.head_dim == (64 if shape.width >= 512 else 16)
        assert shape.width % shape.head_dim == 0


def test_shape_names_no_study_file():
    with pytest.raises(BadValue) as problem:
        Shape(width=3)
    assert not isinstance(problem.value, StudyError)
    assert str(problem.value) == "model shape: width = 3, but it must be a multiple of head_dim = 16."

"""Any loss of the models' outputs can be trained on, and a batch that cannot is refused before the first step."""

import pytest
import torch
import torch.nn.functional as F

from scaling.flops import Shape, count_parameters
from scaling.study import Trunk
from scaling.sweeps.mode import Mode
from scaling.train.gradient import Gradient
from scaling.train.losses import (
    NEXT_TOKEN,
    BadBatch,
    LossNotFinite,
    NextToken,
    NothingToLearn,
    Preferences,
    SoftTargets,
    WeightedTokens,
    check,
)
from scaling.train.model import Forward, NoSuchHead, matrix_views

TRUNK = Trunk.of(width=16, budgets=(4096,), context=8, tokens_per_step=32, vocabulary=20, score_head=True)
SHAPE = TRUNK.model


@pytest.fixture
def weights():
    """Of two models in double precision, none of them zero."""
    torch.manual_seed(0)
    return 0.2 * torch.randn(2, count_parameters(SHAPE).total, dtype=torch.float64)


def tokens(*shape):
    return torch.randint(SHAPE.vocabulary, shape, generator=torch.Generator().manual_seed(1))


def batches():
    """One for each loss, of two models and four windows or pairs."""
    ids = tokens(2, 4, SHAPE.context + 1)
    some = torch.rand(2, 4, SHAPE.context, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    shares = torch.rand(2, 4, SHAPE.context, SHAPE.vocabulary, dtype=torch.float64).softmax(-1)
    pairs = {"inputs": tokens(2, 4, 2, SHAPE.context), "last": torch.randint(SHAPE.context, (2, 4, 2))}
    return {
        NextToken: {"tokens": ids},
        WeightedTokens: {"tokens": ids, "weights": some},
        SoftTargets: {"inputs": ids[:, :, :-1], "targets": shares},
        Preferences: pairs,
    }


def gradient(loss, batch, weights, **mode):
    return Gradient(weights, TRUNK, Mode(**mode), loss).fill(batch)


def mean(loss, batch, weights):
    net = Forward(SHAPE, weights.device, weights.dtype)
    return loss.summed(net, matrix_views(weights, SHAPE), batch) / loss.total(batch)


@pytest.mark.parametrize("kind", [WeightedTokens, SoftTargets, Preferences, NextToken])
def test_gradient_matches_differences_of_the_loss(kind, weights):
    """Along a random direction, for each model by itself."""
    loss, batch = kind(), batches()[kind]
    step = 1e-6 * torch.randn_like(weights)
    for k in range(2):
        own = torch.zeros_like(step)
        own[k] = step[k]
        rise = (mean(loss, batch, weights + own) - mean(loss, batch, weights - own)) / 2
        assert float(rise[1 - k]) == 0
        expected = float((gradient(loss, batch, weights)[k] * step[k]).sum())
        assert float(rise[k]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", [WeightedTokens, SoftTargets, Preferences])
def test_gradient_is_invariant_to_passes(kind, weights):
    loss, batch = kind(), batches()[kind]
    assert torch.allclose(
        gradient(loss, batch, weights, passes=4), gradient(loss, batch, weights), rtol=1e-10, atol=1e-14
    )


def test_weights_of_one_and_one_hot_targets_match_the_next_token(weights):
    ids = batches()[NextToken]["tokens"]
    expected = mean(NEXT_TOKEN, {"tokens": ids}, weights)
    ones = torch.ones(2, 4, SHAPE.context, dtype=torch.float64)
    weighted = {"tokens": ids, "weights": 3 * ones}
    hot = {"inputs": ids[:, :, :-1], "targets": F.one_hot(ids[:, :, 1:], SHAPE.vocabulary).double()}
    assert torch.allclose(mean(WeightedTokens(), weighted, weights), expected, rtol=1e-6)
    assert torch.allclose(mean(SoftTargets(), hot, weights), expected, rtol=1e-6)


def test_preferences_match_bradley_and_terry(weights):
    """Scores differ by what the last normed state gives, and the place after it says nothing."""
    batch = batches()[Preferences]
    net, views = Forward(SHAPE, weights.device, weights.dtype), matrix_views(weights, SHAPE)
    hidden = net.hidden(views, batch["inputs"].flatten(1, 2)).view(2, 4, 2, SHAPE.context, -1)
    for k in range(2):
        scores = hidden[k] @ views["score"][k, :, 0]
        chosen, rejected = scores.gather(2, batch["last"][k, :, :, None])[:, :, 0].T
        expected = -torch.sigmoid(chosen - rejected).log().mean()
        assert float(mean(Preferences(), batch, weights)[k]) == pytest.approx(float(expected), rel=1e-6)


def test_check_names_what_cannot_be_trained_on(weights):
    net, views = Forward(SHAPE, weights.device, weights.dtype), matrix_views(weights, SHAPE)
    ids = batches()[NextToken]["tokens"]
    with pytest.raises(
        BadBatch, match="'weights' must be a tensor for 2 models of 4 windows, and there is none"
    ):
        check(WeightedTokens(), net, views, {"tokens": ids})
    with pytest.raises(BadBatch, match=r"'tokens' must be a tensor for 2 models of 4 windows.*\[1, 4, 9\]"):
        check(NEXT_TOKEN, net, views, {"tokens": ids[:1]})
    with pytest.raises(BadBatch, match="whole numbers below 20"):
        check(NEXT_TOKEN, net, views, {"tokens": ids + 20})
    with pytest.raises(NothingToLearn, match="weigh nothing for model 1"):
        weight = torch.ones(2, 4, SHAPE.context)
        weight[1] = 0
        check(WeightedTokens(), net, views, {"tokens": ids, "weights": weight})
    with pytest.raises(LossNotFinite, match="SoftTargets of model 0 is nan before the first step"):
        targets = torch.full((2, 4, SHAPE.context, SHAPE.vocabulary), torch.nan)
        check(SoftTargets(), net, views, {"inputs": ids[:, :, :-1], "targets": targets})
    headless = Shape(width=16, context=8, vocabulary=20)
    with pytest.raises(NoSuchHead, match="'score' head, but these models have head alone"):
        check(Preferences(), net, matrix_views(weights[:, :-16], headless), batches()[Preferences])

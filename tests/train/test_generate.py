"""Answers follow the models' own distribution, place by place, however they are batched."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from scaling.errors import BadOption
from scaling.flops import Shape, count_parameters
from scaling.train.generate import TooLong, answer_log_probability, answer_scores, generate
from scaling.train.model import Forward, NoSuchHead, matrix_views

SHAPE = Shape(width=32, context=16, vocabulary=12, activation="swiglu")
REQUESTS = [[1, 2, 3], [4], [5, 6, 7], [0, 11]]


@pytest.fixture(scope="module", params=[0, 2], ids="{} neighbours".format)
def models(request):
    """Two models of random weights, large enough that their predictions are far from uniform."""
    torch.manual_seed(0)
    shape = replace(SHAPE, neighbours=request.param)
    weights = 0.4 * torch.randn(2, count_parameters(shape).total)
    return Forward(shape, weights.device), matrix_views(weights, shape)


def test_likeliest_answers_match_reading_everything_anew(models):
    forward, weights = models
    answers = generate(forward, weights, REQUESTS, new=6, temperature=0)
    for i, request in enumerate(REQUESTS):
        for k in range(2):
            text = list(request)
            for _ in range(6):
                logits = forward.logits(weights, torch.tensor([text]).expand(2, 1, -1))
                text.append(int(logits[k, 0, -1].argmax()))
            assert answers.tokens[k, i, 0].tolist() == text[len(request) :]


def test_log_probability_of_samples_matches_reading_them(models):
    """Also under the other model: every answer is scored by both, and the one who gave it is found on the diagonal."""
    forward, weights = models
    answers = generate(forward, weights, REQUESTS, new=5, samples=3, seed=1)
    requests = [r for r in REQUESTS for _ in range(3)]
    for k in range(2):
        scored = answer_log_probability(forward, weights, requests, answers.tokens[k].reshape(-1, 5))
        np.testing.assert_allclose(scored[k], answers.log_probability[k].ravel(), rtol=1e-4)
        assert not np.allclose(scored[1 - k], scored[k], rtol=0.1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_recover_the_distribution(models, temperature):
    """Chi² of 4,000 first tokens; a probability below one in a thousand would be bad luck or a fault."""
    forward, weights = models
    drawn = (
        generate(forward, weights, [[3, 1]], new=1, samples=4000, temperature=temperature).tokens[0].ravel()
    )
    logits = forward.logits(weights, torch.tensor([[[3, 1]]]).expand(2, 1, -1))[0, 0, -1]
    expected = 4000 * (logits / temperature).double().softmax(-1).numpy()
    kept = expected > 5
    counts = np.bincount(drawn, minlength=SHAPE.vocabulary)
    got, wanted = (np.append(x[kept], x[~kept].sum()) for x in (counts, expected))
    assert stats.chisquare(got, wanted + 1e-9 * (wanted == 0)).pvalue > 1e-3


def test_samples_are_invariant_to_what_is_answered_beside_them(models, monkeypatch):
    """At temperature zero; drawn ones come from one stream."""
    forward, weights = models
    together = generate(forward, weights, REQUESTS, new=4, temperature=0)
    monkeypatch.setattr("scaling.train.generate.AT_ONCE", 1)
    apart = generate(forward, weights, REQUESTS, new=4, temperature=0)
    np.testing.assert_array_equal(together.tokens, apart.tokens)
    again = [generate(forward, weights, REQUESTS, new=4, seed=s).tokens for s in (0, 0, 1)]
    np.testing.assert_array_equal(again[0], again[1])
    assert (again[0] != again[2]).any()


def test_answers_hold_allowed_tokens_alone_and_end(models):
    forward, weights = models
    answers = generate(forward, weights, REQUESTS, new=8, samples=20, allowed=[2, 5, 9], end=9)
    assert set(np.unique(answers.tokens)) <= {2, 5, 9}
    ended = answers.tokens == 9
    assert ended.any()
    assert (np.maximum.accumulate(ended, axis=-1) == ended).all()
    places = np.zeros((2, SHAPE.vocabulary), bool)
    places[0, 3] = places[1, 7] = True
    forced = generate(forward, weights, REQUESTS, new=2, allowed=places)
    assert (forced.tokens == [3, 7]).all()
    np.testing.assert_allclose(forced.log_probability, 0, atol=1e-6)


def test_generate_names_what_cannot_be_answered(models):
    forward, weights = models
    with pytest.raises(TooLong, match="request 1 has 14 tokens, and 4 new ones"):
        generate(forward, weights, [[1], [0] * 14], new=4)
    with pytest.raises(BadOption, match="temperature=-1"):
        generate(forward, weights, REQUESTS, new=1, temperature=-1)
    with pytest.raises(BadOption, match="tokens from 0 to 11"):
        generate(forward, weights, [[12]], new=1)
    with pytest.raises(BadOption, match="requests"):
        generate(forward, weights, [[]], new=1)
    with pytest.raises(BadOption, match="one allowed token or more at every place"):
        generate(forward, weights, REQUESTS, new=2, allowed=np.zeros((2, 12), bool))
    with pytest.raises(BadOption, match="answers=1"):
        answer_log_probability(forward, weights, REQUESTS, [[1]])


@pytest.mark.parametrize("neighbours", [0, 2])
def test_scores_of_answers_match_reading_each_whole_text(neighbours, monkeypatch):
    """At their first end, or at their last token; in whatever groups they are read."""
    shape = replace(SHAPE, neighbours=neighbours, depth=3, score_head=True)
    torch.manual_seed(1)
    weights = matrix_views(0.4 * torch.randn(2, count_parameters(shape).total), shape)
    forward = Forward(shape, torch.device("cpu"))
    answers = generate(forward, weights, REQUESTS, new=6, samples=5, end=9, seed=3).tokens
    scores = answer_scores(forward, weights, REQUESTS, answers, end=9)
    ended = 0
    for k, i, j in np.ndindex(scores.shape):
        said = answers[k, i, j].tolist()
        ended += 9 in said[:-1]
        text = [*REQUESTS[i], *said[: said.index(9) + 1 if 9 in said else None]]
        last = torch.full((2, 1), len(text) - 1)
        with torch.no_grad():
            one = forward.scores(weights, torch.tensor([text]).expand(2, 1, -1), last)
        assert scores[k, i, j] == pytest.approx(float(one[k, 0]), rel=1e-4, abs=1e-4)
    assert 5 < ended < scores.size
    monkeypatch.setattr("scaling.train.generate.AT_ONCE", 1)
    np.testing.assert_allclose(answer_scores(forward, weights, REQUESTS, answers, end=9), scores, atol=1e-4)


def test_scores_name_what_cannot_be_judged(models):
    forward, weights = models
    with pytest.raises(NoSuchHead, match="'score' head"):
        answer_scores(forward, weights, [[1]], np.zeros((2, 1, 1, 4), int), end=9)
    scored = {**weights, "score": torch.zeros(2, 32, 1)}
    with pytest.raises(BadOption, match=r"shape \[1, 2, 3, 4\].*\[2, 2, samples, new\]"):
        answer_scores(forward, scored, [[1], [2]], np.zeros((1, 2, 3, 4), int), end=9)
    with pytest.raises(TooLong, match="request 0 has 8 tokens"):
        answer_scores(forward, scored, [[1] * 8], np.zeros((2, 1, 1, 9), int), end=9)

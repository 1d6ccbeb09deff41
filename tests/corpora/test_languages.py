import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.corpora.languages import KINDS, associative, blend_losses, language, markov, nested
from scaling.errors import BadValue, UnknownKey

LANGUAGES = {
    "markov": markov(states=16, seed=1),
    "second order": markov(states=12, order=2, concentration=0.3),
    "nested": nested(kinds=2, words=12, depth=3),
    "associative": associative(keys=40, values=10),
}
SMALL = [
    markov(states=3, order=2, concentration=0.5),
    nested(kinds=2, words=1, depth=2, seed=3),
    associative(keys=3, values=2, noise=0.3),
]


def cut(text, context):
    """Windows as the sampler and `held_out_windows` cut them: the last token of one is the first of the next."""
    count = (len(text) - 1) // context
    return np.stack([text[i * context : i * context + context + 1] for i in range(count)]).astype(np.int64)


@pytest.fixture(params=LANGUAGES, scope="module")
def spoken(request):
    return LANGUAGES[request.param]


@pytest.fixture(scope="module")
def texts(spoken):
    return spoken.sample(150_000, seed=1), spoken.sample(60_000, seed=2)


def test_stationary_states_are_left_as_they_are_by_a_step(spoken):
    flow = (spoken.stationary[:, None] * spoken.probability).ravel()
    after = np.bincount(spoken.successor.ravel(), flow, len(spoken.stationary))
    assert after == pytest.approx(spoken.stationary, rel=1e-9)
    assert spoken.probability.sum(1) == pytest.approx(1, abs=1e-12)


def test_sample_is_written_with_the_probabilities_of_the_language(texts, spoken):
    counts = np.bincount(texts[0], minlength=spoken.vocabulary)
    expected = spoken.stationary @ spoken.probability * len(texts[0])
    assert counts[expected == 0].sum() == 0
    z = (counts - expected)[expected > 0] / np.sqrt(expected[expected > 0])
    assert np.abs(z).max() < 20  # counts of a text that remembers spread wider than independent ones
    assert np.abs(counts - expected).sum() < 0.05 * len(texts[0])


def test_sample_is_invariant_to_its_length():
    spoken = LANGUAGES["nested"]
    assert (spoken.sample(70_000, 5)[:1_000] == spoken.sample(1_000, 5)).all()
    assert (spoken.sample(1_000, 5) != spoken.sample(1_000, [5, 1])).any()


@pytest.mark.parametrize("spoken", SMALL, ids=["second order", "nested", "associative"])
def test_filter_recovers_the_probability_of_every_short_text(spoken):
    """Beside it the plain product of one matrix a token, summed over every state at the end."""
    states = len(spoken.stationary)
    steps = np.zeros((spoken.vocabulary, states, states))
    for state, token in itertools.product(range(states), range(spoken.vocabulary)):
        steps[token, state, spoken.successor[state, token]] += spoken.probability[state, token]
    blocks = np.array(list(itertools.product(range(spoken.vocabulary), repeat=4)))
    plain = []
    for block in blocks:
        belief = spoken.stationary
        for token in block:
            belief = belief @ steps[token]
        plain.append(belief.sum())
    probability = np.exp(-spoken.token_losses(blocks).sum(1))
    assert probability.sum() == pytest.approx(1, abs=1e-12)
    assert probability == pytest.approx(np.array(plain), abs=1e-14)


@pytest.mark.parametrize("context", [8, 31, 64])
def test_mean_loss_recovers_the_window_entropy(texts, spoken, context):
    per_window = spoken.window_losses(cut(texts[1], context)).mean(1)
    stderr = per_window.std(ddof=1) / np.sqrt(len(per_window))
    expected = spoken.window_entropy(context)
    if expected is None:  # bounds: the rate, and a filter that has had time to settle
        assert spoken.entropy_rate - 4 * stderr < per_window.mean() < spoken.entropy_rate + 1
    else:
        assert abs(per_window.mean() - expected) < 4 * stderr


def test_nested_windows_come_down_to_the_rate_as_they_get_longer(texts, spoken):
    """The state is hidden at the start of a window, so its first tokens cost the most and the last ones the rate."""
    losses = spoken.window_losses(cut(texts[1], 128))
    late = losses[:, 96:].mean(1)
    assert abs(late.mean() - spoken.entropy_rate) < 5 * late.std(ddof=1) / np.sqrt(len(late))
    if spoken.memory is None:
        assert losses[:, :8].mean() > late.mean() + 0.05


def test_block_entropy_matches_the_known_distance_from_the_rate():
    """64 states at concentration 0.1, the first token predicted too: .027, .0135 and .007 nats above the rate."""
    spoken = markov(states=64)
    gaps = [spoken.block_entropy(T) - spoken.entropy_rate for T in (64, 128, 256)]
    assert gaps == pytest.approx([0.027, 0.0135, 0.007], rel=0.05)
    assert spoken.window_entropy(64) == pytest.approx(spoken.entropy_rate)  # the given token fixes the state
    text = spoken.sample(64 * 2_000, 3).reshape(2_000, 64)
    every_token = spoken.token_losses(text).mean(1)
    stderr = every_token.std(ddof=1) / np.sqrt(len(every_token))
    assert abs(every_token.mean() - spoken.block_entropy(64)) < 4 * stderr


def test_block_entropy_is_the_sum_over_every_block():
    for spoken in (SMALL[0], SMALL[2]):
        for tokens in (1, 2, 3, 5):
            blocks = np.indices((spoken.vocabulary,) * tokens).reshape(tokens, -1).T
            surprise = spoken.token_losses(blocks).sum(1)
            there = np.isfinite(surprise)
            expected = (np.exp(-surprise[there]) * surprise[there]).sum() / tokens
            assert spoken.block_entropy(tokens) == pytest.approx(expected, rel=1e-9)


def bigram(train, windows, vocabulary, order):
    """Per-token losses of an n-gram with one pseudo-count spread over the vocabulary, fitted to a long text."""
    context_of = lambda text, t: sum(text[..., t - o] * vocabulary ** (o - 1) for o in range(1, order + 1))  # noqa: E731
    positions = np.arange(order, len(train))
    counts = np.zeros((vocabulary**order, vocabulary)) + 1 / vocabulary
    np.add.at(counts, (context_of(train.astype(int), positions), train[positions]), 1)
    rows = counts / counts.sum(1, keepdims=True)
    ends = np.arange(order, windows.shape[1])
    return -np.log(rows[context_of(windows, ends), windows[:, ends]])


@pytest.mark.parametrize("order", [0, 1, 2])
def test_no_fitted_predictor_beats_the_exact_loss(texts, spoken, order):
    windows = cut(texts[1], 64)
    exact = spoken.window_losses(windows)
    other = bigram(texts[0], windows, spoken.vocabulary, order)
    difference = (other[:, -60:] - exact[:, -60:]).mean(1)  # paired: the same tokens of the same windows
    assert difference.mean() > -3 * difference.std(ddof=1) / np.sqrt(len(difference))


def test_another_language_of_the_same_kind_is_worse():
    ours, theirs = nested(kinds=2, words=12, depth=3), nested(kinds=2, words=12, depth=3, seed=1)
    windows = cut(ours.sample(30_000, 0), 64)
    assert theirs.window_losses(windows).mean() > ours.window_losses(windows).mean() + 0.1


@given(states=st.integers(2, 6), order=st.integers(1, 2), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_markov_recovers_its_own_probabilities_once_the_state_is_known(states, order, seed):
    spoken = markov(states=states, order=order, concentration=1.0, seed=seed)
    text = spoken.sample(200, seed).astype(np.int64)
    losses = spoken.token_losses(text[None])[0]
    for t in range(order, 200):
        state = sum(int(text[t - o]) * states ** (o - 1) for o in range(1, order + 1))
        assert losses[t] == pytest.approx(-np.log(spoken.probability[state, text[t]]))


def test_what_the_language_never_writes_costs_without_bound():
    spoken = LANGUAGES["associative"]
    windows = np.array([[0, 1, 40], [0, 40, 1], [0, 41, 5_000]])  # a key after a key; right; no such token
    losses = spoken.window_losses(windows)
    assert np.isinf(losses[0]).all()
    assert np.isfinite(losses[1]).all()
    assert np.isinf(losses[2, 1])
    assert np.isinf(LANGUAGES["nested"].token_losses(np.array([[12, 15, 0]]))[0]).tolist() == [
        False,
        True,
        True,
    ]


def test_blend_recovers_each_language_and_the_price_of_telling_them_apart():
    one, other = markov(states=8, seed=0), markov(states=8, seed=1)
    both, context = {"one": one, "other": other}, 16
    windows = cut(one.sample(16_000, 0), context)
    alone = blend_losses(both, {"one": 1.0, "other": 0.0}, windows)
    assert (alone == one.window_losses(windows)).all()
    blended = blend_losses(both, {"one": 0.5, "other": 0.5}, windows)
    price = (blended - alone).sum(1).mean()
    assert 0 < price < np.log(2)  # the first token, which is given, has told something already
    # one predictor, whatever the window's language: no text scores better under it than the blend allows
    mixed = np.concatenate([windows, cut(other.sample(16_000, 0), context)])
    truth = np.concatenate([alone, other.window_losses(mixed[len(windows) :])])
    assert blend_losses(both, {"one": 0.5, "other": 0.5}, mixed).mean() > truth.mean()


def test_blend_is_settled_by_a_token_that_only_one_language_has():
    keys, words = associative(keys=5, values=3), nested(kinds=1, words=4, depth=1)
    windows = cut(keys.sample(2_000, 0), 10)
    losses = blend_losses({"keys": keys, "words": words}, {"keys": 0.2, "words": 0.8}, windows)
    settled = (np.cumsum(windows >= 6, axis=1) > 0)[:, :-1]  # `words` has no tokens 6 and 7
    assert np.isfinite(losses).all()
    assert losses[settled] == pytest.approx(keys.window_losses(windows)[settled], abs=1e-12)


@pytest.mark.parametrize(
    ("kind", "parameters", "error", "words"),
    [
        ("runic", {}, BadValue, "'markov' or 'nested' or 'associative'"),
        ("markov", {"state": 4}, UnknownKey, "Did you mean 'states'"),
        ("markov", {"states": 4.5}, BadValue, "a whole number"),
        ("markov", {"states": 1}, BadValue, "at least 2"),
        ("markov", {"concentration": 0}, BadValue, "above 0"),
        ("markov", {"states": 64, "order": 4}, BadValue, "more than 2,097,152 probabilities"),
        ("nested", {"opening": 0.6, "closing": 0.4}, BadValue, "below 1"),
        ("nested", {"kinds": 30}, BadValue, "kinds \\*\\* depth = 24300000, but it must be smaller"),
        ("nested", {"kinds": 1, "depth": 1, "words": 70_000}, BadValue, "more than 65,536"),
        ("associative", {"noise": 1.5}, BadValue, "from 0 to 1"),
    ],
)
def test_language_names_what_it_cannot_be(kind, parameters, error, words):
    with pytest.raises(error, match=words):
        language(kind, tuple(parameters.items()))


@pytest.mark.parametrize("kind", KINDS)
def test_language_is_invariant_to_when_it_is_made(kind):
    again = KINDS[kind](seed=7)
    assert (language(kind, (("seed", 7),)).probability == again.probability).all()
    assert (again.probability != KINDS[kind](seed=8).probability).any()

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.corpora.corpus import UnknownDomain
from scaling.corpora.sampler import (
    BudgetBeyondCorpus,
    EmptyDomain,
    Sampler,
    UniqueBeyondCorpus,
    deal_windows,
    held_out_windows,
)
from scaling.errors import BadValue

BLEND = {"code": 0.7, "prose": 0.3}


@given(parts=st.lists(st.integers(1, 1000), min_size=1, max_size=20), windows=st.integers(1, 300))
@settings(max_examples=100, deadline=None)
def test_deal_is_less_than_one_window_from_every_share_at_every_moment(parts, windows):
    """And so it has the counts of a quota, rounded up or down; the bound is Tijdeman's, which no deal can better."""
    shares = np.array(parts) / sum(parts)
    deal = deal_windows(tuple(shares), windows)
    counts = np.cumsum(deal[:, :1] == np.arange(len(parts)), axis=0)
    target = np.arange(1, windows + 1)[:, None] * shares
    assert np.abs(counts - target).max() <= 1 - 0.5 / max(len(parts) - 1, 1) + 1e-9
    for source in range(len(parts)):
        mine = deal[deal[:, 0] == source, 1]
        assert (mine == np.arange(len(mine))).all()


@given(first=st.integers(0, 100), of=st.integers(1, 100))
@settings(max_examples=100, deadline=None)
def test_deal_of_two_domains_matches_the_one_that_committed_runs_saw(first, of):
    """They were dealt to the domain that is furthest behind, the first of two alike."""
    shares = tuple(s for s in (min(first, of) / of, 1 - min(first, of) / of) if s > 0)
    counts, dealt = np.zeros(len(shares), int), []
    for window in range(300):
        dealt.append(int(np.argmax(np.array(shares) * (window + 1) - counts)))
        counts[dealt[-1]] += 1
    assert deal_windows(shares, 300)[:, 0].tolist() == dealt


def test_orders_are_drawn_once_an_epoch_however_many_models_take_turns(corpus, monkeypatch):
    drawn, plain = [], np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda entropy: drawn.append(entropy) or plain(entropy))
    samplers = [Sampler(corpus, BLEND, 32, 4, seed=s, unique_budget=32 * 100) for s in range(80)]
    for step in range(3):
        for sampler in samplers:
            sampler.batch(step)
    assert (
        len(drawn) == 80 * 2 * 2
    )  # of both domains, which windows are kept and the order of the first epoch


def test_batch_is_a_pure_function_of_seed_and_step(corpus):
    one, other = (Sampler(corpus, BLEND, 32, 4, seed=5) for _ in range(2))
    later = one.batch(7)
    for step in range(7):
        other.batch(step)
    assert (other.batch(7) == later).all()
    assert (Sampler(corpus, BLEND, 32, 4, seed=6).batch(7) != later).any()


def test_an_epoch_sees_every_window_once_and_the_next_in_another_order(corpus):
    sampler = Sampler(corpus, {"code": 1.0}, 32, 1, seed=0, unique_budget=32 * 20)
    epochs = np.stack([sampler.batch(s)[0] for s in range(40)]).reshape(2, 20, 33)
    as_sets = [{row.tobytes() for row in epoch} for epoch in epochs]
    assert len(as_sets[0]) == 20
    assert as_sets[0] == as_sets[1]
    assert (epochs[0] != epochs[1]).any()


def test_unique_tokens_counts_what_was_seen(corpus):
    sampler = Sampler(corpus, BLEND, 32, 4, seed=0, unique_budget=32 * 100)
    assert sampler.windows("code") == 70
    assert sampler.windows("prose") == 30
    assert sampler.unique_tokens(10) == 40 * 32
    assert sampler.unique_tokens(1000) == 100 * 32
    seen = {row[:-1].tobytes() for s in range(50) for row in sampler.batch(s)}
    assert len(seen) <= 100


def test_domain_epochs_count_the_passes_over_each_domain(corpus):
    sampler = Sampler(corpus, {"code": 0.75, "prose": 0.25}, 32, 4, seed=0, unique_budget=32 * 100)
    assert sampler.domain_epochs(10) == {"code": 1.0, "prose": 1.0}
    assert sampler.domain_epochs(50) == {"code": 2.0, "prose": 2.0}
    uneven = Sampler(corpus, {"code": 0.99, "prose": 0.01}, 32, 4, seed=0, unique_budget=32 * 100)
    assert uneven.domain_epochs(5) == {"code": 1.0, "prose": 0.0}
    assert uneven.domain_epochs(50) == {"code": 2.0, "prose": 2.0}


def test_unique_budget_of_a_domain_holds_in_every_blend(corpus):
    """And the domain's windows come in the same order, whatever else is in the blend."""
    asked = {"prose": 32 * 10, "code": 32 * 7 + 5}
    alone = Sampler(corpus, {"prose": 1.0}, 32, 2, seed=3, unique=asked)
    mixed = Sampler(corpus, {"code": 0.5, "prose": 0.5}, 32, 4, seed=3, unique=asked)
    assert alone.windows("prose") == mixed.windows("prose") == 10
    assert mixed.domain_unique(20) == {"code": 32 * 7, "prose": 32 * 10}
    assert mixed.domain_epochs(20) == {"code": 40 / 7, "prose": 4.0}
    sources, starts = mixed.places(0, 20)
    assert starts[sources == 1].tolist() == alone.places(0, 20)[1].ravel().tolist()


def test_sampler_names_a_unique_budget_beyond_the_corpus_and_one_of_no_domain(corpus):
    with pytest.raises(
        UniqueBeyondCorpus, match=r"asked for 99,999,968 distinct tokens of 'code', but the corpus has"
    ):
        Sampler(corpus, BLEND, 32, 4, seed=0, unique={"code": 99_999_968})
    with pytest.raises(UnknownDomain, match="'poetry'"):
        Sampler(corpus, BLEND, 32, 4, seed=0, unique={"poetry": 64})


def test_sampler_names_a_budget_beyond_the_corpus(corpus):
    sampler = Sampler(corpus, BLEND, 32, 4, seed=0, unique_budget=32 * 100)
    sampler.check_budget(25, max_epochs=1)
    with pytest.raises(BudgetBeyondCorpus, match="allow repeats with max_epochs = 2") as problem:
        sampler.check_budget(50, max_epochs=1)
    assert problem.value.asked == 140 * 32
    assert problem.value.available == 70 * 32


def test_sampler_names_a_blend_that_does_not_add_up_and_an_empty_domain(corpus):
    with pytest.raises(BadValue, match="add up to 1"):
        Sampler(corpus, {"code": 0.7, "prose": 0.7}, 32, 4, seed=0)
    with pytest.raises(EmptyDomain, match="asked for 10,000,001 tokens"):
        Sampler(corpus, {"code": 1.0}, 10_000_000, 4, seed=0)


def test_sampler_names_a_unique_budget_that_leaves_a_domain_nothing(corpus):
    with pytest.raises(
        BadValue,
        match=r"unique_budget = 128, but it must be at least 320, so that 'prose' with its share of 0\.1 gets",
    ):
        Sampler(corpus, {"code": 0.9, "prose": 0.1}, 32, 4, seed=0, unique_budget=128)
    Sampler(corpus, {"code": 0.9, "prose": 0.1}, 32, 4, seed=0, unique_budget=320)


def test_held_out_windows_are_fixed_and_apart(corpus):
    windows = held_out_windows(corpus, "code", 32, 10)
    assert windows.shape == (10, 33)
    assert (windows == held_out_windows(corpus, "code", 32, 10)).all()
    assert len({row.tobytes() for row in windows}) == 10

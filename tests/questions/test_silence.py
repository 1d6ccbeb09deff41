"""Months of silence: the factors under every null, the index of public scores, and a replay that knows no future."""

import pytest

from scaling.errors import BadOption, NegativeMonths
from scaling.questions.silence import DISAGREE, LITTLE, PLATEAU, ComputePaced, Renewal, silence


@pytest.mark.parametrize(("months", "factor"), [(14, 1.78), (24, 2.96), (36, 4.65)])
def test_renewal_matches_the_student_predictive(months, factor):
    """Log-t with n = 3 worked out by hand; the gaps are rounded to a tenth of a month."""
    assert Renewal().bayes_factor(months).value == pytest.approx(factor, rel=0.01)


@pytest.mark.parametrize(
    ("lags", "factor", "median"), [("none", 8.7, 32), ("next minus previous", 6.5, 32), ("next", 1.3, 38.5)]
)
def test_compute_paced_matches_an_independent_simulation(lags, factor, median):
    """Both are simulations; 3 % covers their draws and the rounding of the published digits."""
    null = ComputePaced(lags=lags)
    assert null.bayes_factor(36).value == pytest.approx(factor, rel=0.03)
    assert sorted(null.gaps())[null.draws // 2] == pytest.approx(median, abs=0.2)
    for early in (14, 24):
        assert 1 <= null.bayes_factor(early).value < 1.02


@pytest.mark.parametrize(("months", "answer"), [(0, LITTLE), (14, LITTLE), (36, DISAGREE), (60, PLATEAU)])
def test_silence_answers_from_its_closed_set(months, answer):
    verdict = silence(months)
    assert verdict.answer == answer
    assert verdict.identifiable == (answer != DISAGREE)
    assert verdict.evidence["null"].n_unique() == 4
    assert "rests on" not in str(verdict) and "Size" not in verdict.doubts


def test_silence_odds_are_the_prior_odds_times_the_factor():
    verdict = silence(36, (Renewal(),), prior=(0.2, 0.5))
    odds = verdict.numbers["posterior odds, as past gaps (n = 3)"]
    assert (odds.low, odds.high) == pytest.approx((4.65 / 4, 4.65), rel=0.01)


def test_silence_names_negative_months():
    with pytest.raises(NegativeMonths, match=r"a silence of -3 months.*positive"):
        silence(-3)
    with pytest.raises(NegativeMonths, match="a gap of 0 months"):
        Renewal(gaps=(8.1, 0))


def test_silence_names_options_that_cannot_be():
    with pytest.raises(BadOption, match="lags='both'"):
        ComputePaced(lags="both")  # pyright: ignore
    with pytest.raises(BadOption, match=r"nulls=\(\)"):
        silence(3, ())
    with pytest.raises(BadOption, match="prior"):
        silence(3, prior=(0.5, 0.2))

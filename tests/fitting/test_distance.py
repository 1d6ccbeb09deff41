"""How far outside its runs a prediction says that it stands."""

import numpy as np
import polars as pl
import pytest
from pytest import approx
from worlds import CHINCHILLA, square

import scaling
from scaling.fitting import fit
from scaling.laws import chinchilla, compute_only, power_law_floor


@pytest.fixture(scope="module")
def noisy():
    return square(chinchilla, noise=0.005, sizes=8, budgets=8, **CHINCHILLA)


@pytest.fixture(scope="module")
def fitted(noisy):
    return fit(chinchilla, noisy, bootstrap=40)


def test_distance_is_in_decades_of_each_column_and_of_compute(fitted):
    far = fitted.predict(N=np.array([1e11, 1e8, 1e5]), D=np.array([3e11, 1e9, 1e9])).distance
    assert far.decades["N"] == approx([2, 0, -1])
    assert far.decades["D"] == approx([1, 0, 0])
    assert far.decades["N·D"] == approx([3, 0, 0])
    assert far.farthest == approx([3, 0, 1])
    assert far.origins[1] == 0 and np.isnan(far.backtest[1])


def test_distance_matches_mahalanobis_by_hand(fitted, noisy):
    """To a part in ten thousand: a hundredth of a decade is added along every direction."""
    logs = np.log10(noisy.select("N", "D").to_numpy())
    S = np.linalg.inv(np.cov(logs.T, bias=True))
    off = np.log10([1e11, 3e11]) - logs.mean(0)
    far = fitted.predict(N=1e11, D=3e11).distance
    assert far.mahalanobis == approx(np.sqrt(off @ S @ off), rel=1e-3)
    widest = np.sqrt(np.einsum("ni,ij,nj->n", logs - logs.mean(0), S, logs - logs.mean(0)).max())
    assert far.widest == approx(widest, rel=1e-3)


def test_distance_recovers_what_earlier_fits_missed_so_far_out():
    """Runs of a law whose data term breaks upwards: whoever stopped earlier missed by more the farther out."""
    runs = square(chinchilla, sizes=8, budgets=12, noise=0.002, **CHINCHILLA)
    late = np.maximum(runs["D"].log10() - 9.3, 0.0)
    broken = runs.with_columns(loss=pl.col("loss") * pl.Series(np.exp(0.05 * late)))
    near, far = (
        fit(chinchilla, broken, bootstrap=40).predict(N=1e9, D=3e10 * 10**d).distance for d in (0.3, 1.2)
    )
    honest = fit(chinchilla, runs, bootstrap=40).predict(N=1e9, D=3e10 * 10**1.2).distance
    assert far.backtest > near.backtest > 0
    assert far.backtest > 3 * honest.backtest
    assert far.reach == approx(1.2, abs=0.3) and far.origins >= 1


def test_prediction_says_where_it_stands(fitted):
    words = str(fitted.predict(N=1e11, D=3e11))
    assert "3 decades of compute beyond the runs (N by 2, D by 1 decades); Mahalanobis distance" in words
    assert "; backtests at that distance missed by " in words and " % (rms, " in words
    words = str(fitted.predict(N=1e13, D=3e11))
    assert "; backtests reach " in words and " % there (rms, " in words
    assert "decades of compute below the runs" in str(fitted.predict(N=1e5, D=1e7))
    assert len(str(fitted.predict(N=1e8, D=1e9)).splitlines()) == 1
    several = str(fitted.predict(N=np.array([1e8, 1e10]), D=1e11))
    assert "the farthest point: 1.5 decades of compute beyond the runs" in several
    assert str(fitted.predict(N=[], D=[])).startswith("no predictions")
    assert (
        fit(chinchilla, square(chinchilla, **CHINCHILLA), bootstrap=0).predict(N=1e9, D=1e9).distance is None
    )


def test_a_point_off_the_diagonal_of_the_runs_is_named():
    """Within the range of N and of D, but far from where they go together."""
    N = np.geomspace(1e6, 1e9, 24)
    D = 20 * N * np.tile([0.7, 1.0, 1.4], 8)
    runs = {"N": N, "D": D, "loss": chinchilla(N, D, **CHINCHILLA) * np.exp(0.003 * np.sin(np.arange(24)))}
    predicted = fit(chinchilla, runs, bootstrap=40, cluster="rows").predict(N=1.2e6, D=1.9e10)
    assert predicted.distance.farthest == 0
    assert "standard deviations from their middle (Mahalanobis), where no run is beyond" in str(predicted)


@pytest.mark.parametrize(
    ("law", "column", "said"), [(compute_only, "C", "compute"), (power_law_floor, "N", "N")]
)
def test_distance_of_a_law_of_one_scale(law, column, said):
    x = np.geomspace(1e18, 1e22, 16)
    truth = {"E": 1.7, "A": 400.0, "alpha": 0.14}
    runs = {column: x, "loss": law(x, **truth) * np.exp(0.003 * np.sin(np.arange(16)))}
    assert f"1 decades of {said} beyond the runs; Mahalanobis" in str(
        fit(law, runs, bootstrap=40).predict(**{column: 1e23})
    )


def test_saved_fit_keeps_its_backtests(fitted, tmp_path):
    fitted.save(tmp_path / "fit.json")
    kept = scaling.Fit.load(tmp_path / "fit.json")
    assert kept.discrepancy == fitted.discrepancy
    assert str(kept.predict(N=1e11, D=3e11)) == str(fitted.predict(N=1e11, D=3e11))

"""What a fit owes to single runs and sizes."""

import numpy as np
import polars as pl
import pytest
from pytest import approx
from worlds import CHINCHILLA, square

import scaling
from scaling.errors import BadOption, MissingColumns
from scaling.fitting import fit, influence
from scaling.laws import chinchilla


@pytest.fixture(scope="module")
def noisy():
    return square(chinchilla, noise=0.01, **CHINCHILLA)


def line(x, *, level, slope):
    return level + slope * x


def test_influence_matches_cooks_formula_for_a_line():
    """D_i = r_i² h_i / (p s² (1 − h_i)²), exact for a linear law fitted by least squares."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 5, 12)
    y = 3.0 + 0.7 * x + rng.normal(scale=0.2, size=12)
    runs = {"x": x, "loss": y}
    table = influence(fit(line, runs, objective="squares", bootstrap=0), runs, by="rows", at={"x": 6.0}).table
    design = np.stack([np.ones(12), x], axis=1)
    hat = np.diag(design @ np.linalg.pinv(design))
    miss = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    cook = miss**2 * hat / (2 * (miss @ miss / 10) * (1 - hat) ** 2)
    order = np.argsort(-cook)
    assert table["left_out"].to_list() == [f"row {i}" for i in order]
    assert table["cook"].to_numpy() == approx(cook[order], rel=1e-5)
    i = order[0]
    slope, level = np.polyfit(np.delete(x, i), np.delete(y, i), 1)
    assert (table["slope"][0], table["level"][0]) == approx((slope, level), rel=1e-6)
    assert table["miss_percent"][0] == approx(100 * abs(y[i] / (level + slope * x[i]) - 1), rel=1e-4)


@pytest.mark.parametrize("options", [{}, {"objective": "huber_likelihood"}, {"priors": {"E": (1.7, 0.1)}}])
def test_influence_recovers_the_fits_without_each_size(noisy, options):
    """A likelihood and a prior keep the scatter of the fit to all runs, which moves their refits a little."""
    fitted = fit(chinchilla, noisy, bootstrap=0, **options)
    told = influence(fitted, noisy, by="N", at={"N": 1e10, "D": 1e12})
    assert told.predicted == approx(float(fitted.predict(N=1e10, D=1e12).median))
    assert len(told.table) == 5 and told.table["converged"].all()
    close = {"rel": 1e-4} if not options else {"rel": 0.05}
    for row in told.table.iter_rows(named=True):
        size = scaling.units.parse_count(row["left_out"].removeprefix("N "))
        near = (noisy["N"] / size).log().abs() < 0.01
        alone = fit(chinchilla, noisy.filter(~near), bootstrap=0, **options)
        there = float(alone.predict(N=1e10, D=1e12).median)
        assert row["runs"] == 6
        assert {p: row[p] for p in ("E", "alpha", "beta")} == approx(
            {p: alone.params[p] for p in ("E", "alpha", "beta")}, **close
        )
        assert 1 + row["move_percent"] / 100 == approx(
            there / told.predicted, rel=1e-4 if not options else 5e-3
        )
        left = noisy.filter(near)
        miss = (
            left["loss"].to_numpy() / alone.predict(N=left["N"].to_numpy(), D=left["D"].to_numpy()).median - 1
        )
        assert row["bias_percent"] == approx(100 * miss.mean(), abs=0.02 if not options else 0.5)


def test_influence_names_the_run_that_decides_and_so_does_the_fit(noisy):
    named = noisy.with_columns(name=pl.concat_str(pl.lit("run "), pl.int_range(pl.len()).cast(pl.String)))
    spoilt = named.with_columns(loss=pl.col("loss") * pl.when(name="run 29").then(0.9).otherwise(1.0))
    fitted = fit(chinchilla, spoilt, objective="squares_log", bootstrap=0)
    told = influence(fitted, spoilt, by="rows")
    assert told.table["left_out"][0] == "run 29" and told.table["cook"][0] > 2 * told.table["cook"][1]
    assert "run 29" in str(told).splitlines()[2]
    assert "misses most: run 29 (-" in str(fitted)
    assert next(iter(fitted.missed_most)) == "run 29"
    assert "misses most: row 29 (-" in str(fit(chinchilla, spoilt.drop("name"), bootstrap=0))
    assert f"{told.left_out_percent:.2g} % rms" in str(told) and "<table>" in told._repr_html_()


def test_influence_watches_a_decade_of_compute_beyond_the_largest_run(noisy):
    told = influence(fit(chinchilla, noisy, bootstrap=0), noisy)
    assert told.at["N"] * told.at["D"] == approx(10 * 1e9 * 3e10)
    assert "quarter-decade bins of 6ND" in str(told)


def test_influence_names_what_it_cannot_use(noisy):
    fitted = fit(chinchilla, noisy, bootstrap=0)
    with pytest.raises(BadOption, match="those that the fit was made from"):
        influence(fitted, noisy.head(29))
    with pytest.raises(MissingColumns, match="D"):
        influence(fitted, noisy, at={"N": 1e9})
    with pytest.raises(BadOption, match="one point"):
        influence(fitted, noisy, at={"N": np.array([1e9, 1e10]), "D": 1e10})
    with pytest.raises(MissingColumns, match="family"):
        influence(fitted, noisy, by="family")


def test_saved_fit_keeps_the_runs_that_it_misses_most(noisy, tmp_path):
    fitted = fit(chinchilla, noisy, bootstrap=0)
    fitted.save(tmp_path / "fit.json")
    assert scaling.Fit.load(tmp_path / "fit.json").missed_most == fitted.missed_most

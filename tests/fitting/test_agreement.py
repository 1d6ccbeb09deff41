"""A fit against published constants, all at once."""

import numpy as np
import pytest
from worlds import CHINCHILLA, square

import scaling
from scaling.errors import BadOption
from scaling.fitting import Fit
from scaling.fitting.agreement import TooFewToTest
from scaling.laws import HOFFMANN_2022, chinchilla, kaplan
from scaling.published import open_published


@pytest.fixture(scope="module")
def fitted():
    return scaling.fit(chinchilla, square(chinchilla, noise=0.004, **CHINCHILLA), bootstrap=200)


def test_agree_recovers_the_constants_that_made_the_runs(fitted):
    same = scaling.agree(fitted, CHINCHILLA)
    assert same.agrees and same.p_value > 0.05
    assert "agrees with the constants at 95 %" in str(same) and "<table>" in same._repr_html_()
    assert same.freedom == (5, fitted.clusters - 5)


def test_agree_tells_constants_that_are_apart_together_alone(fitted):
    """One standard error along the ridge of A and alpha is nothing, across it is far: each alone stays near."""
    moved = dict(fitted.params)
    moved["A"] *= np.exp(1.5 * np.std(np.log(fitted.draws["A"])))
    moved["alpha"] -= 1.5 * np.std(fitted.draws["alpha"])
    across = scaling.agree(fitted, moved)
    assert not across.agrees and across.table["p_value"].min() > 0.1
    assert "no parameter differs alone, only all together" in str(across)
    assert scaling.agree(fitted, fitted.params).p_value == pytest.approx(1.0)


def test_agree_matches_the_refit_of_chinchilla(published, monkeypatch):
    """Besiroglu et al. 2024 reject Hoffmann et al.'s printed constants on these very points (p < 1e-60 there)."""
    monkeypatch.setenv("SCALING_PUBLISHED", str(published))
    runs = open_published("chinchilla").sort("loss").head(240)
    fitted = scaling.fit(chinchilla, runs, bootstrap=200)
    differs = scaling.agree(fitted, HOFFMANN_2022)
    assert differs.p_value < 0.001 and "differs from the constants" in str(differs)


def test_agree_names_what_it_cannot_test(fitted, tmp_path):
    with pytest.raises(BadOption, match="with a value for beta too"):
        scaling.agree(fitted, {p: v for p, v in CHINCHILLA.items() if p != "beta"})
    with pytest.raises(BadOption, match="parameters of chinchilla"):
        scaling.agree(fitted, CHINCHILLA | {"gamma": 1.0})
    with pytest.raises(BadOption, match="of the law that was fitted, chinchilla"):
        scaling.agree(fitted, kaplan)
    with pytest.raises(BadOption, match="above zero"):
        scaling.agree(fitted, CHINCHILLA | {"A": -1.0})
    with pytest.raises(BadOption, match="a law with its parameters set"):
        scaling.agree(fitted, 3)
    with pytest.raises(BadOption, match="level=5"):
        scaling.agree(fitted, CHINCHILLA, level=5)
    runs = square(chinchilla, noise=0.004, **CHINCHILLA)
    with pytest.raises(TooFewToTest, match="needs 50 bootstrap draws or more, but its fit has 30"):
        scaling.agree(scaling.fit(chinchilla, runs, bootstrap=30), CHINCHILLA)
    with pytest.raises(TooFewToTest, match="needs 7 clusters or more, but its fit has 5"):
        scaling.agree(scaling.fit(chinchilla, runs, bootstrap=60, cluster="N"), CHINCHILLA)
    held = scaling.fit(chinchilla, runs, bootstrap=60, fixed={"E": 1.7})
    assert scaling.agree(held, CHINCHILLA).freedom[0] == 4
    with pytest.raises(BadOption, match=r"1\.7, at which the fit holds it"):
        scaling.agree(held, CHINCHILLA | {"E": 1.8})
    fitted.save(tmp_path / "fit.json")
    again = scaling.agree(Fit.load(tmp_path / "fit.json"), CHINCHILLA)
    assert again.p_value == scaling.agree(fitted, CHINCHILLA).p_value

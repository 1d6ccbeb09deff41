"""Curves that are no single smooth one: a warm-up, a spike, a step, a restart; said, and not said of noise."""

import re

import numpy as np
import pytest

from scaling.fitting.onecurve import broken

D = np.geomspace(1e8, 1e10, 20)
LOSS = 2.0 + 300.0 / D**0.27
LATE = np.arange(20) > 11


@pytest.mark.parametrize("noise", [0.0, 0.001])
@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (np.r_[10.5, 10.4, 9.0, 6.0, LOSS[4:]], "the loss falls faster from .* leave the warm-up out"),
        (LOSS + 1.5 * (np.arange(20) == 10), "the loss rises from 3.1.* to 4.[56].*: a spike"),
        (LOSS + 0.2 * LATE, "the loss rises from .* started again"),
        (LOSS - 0.15 * LATE, "the loss drops from .*: a lower rate, or other data"),
    ],
)
def test_an_extrapolation_names_what_breaks_its_curve(loss, words, noise):
    noisy = loss * np.exp(noise * np.random.default_rng(0).standard_normal(20))
    (said,) = broken(D, noisy, "D")
    assert re.match(words, said)
    assert said.endswith("a forecast takes it as one smooth curve")


def test_an_extrapolation_names_several_losses_at_one_place():
    x, y = np.repeat(D, 2), np.repeat(LOSS, 2)
    y[-6:] += [0.0, 0.05] * 3
    (said,) = broken(x, y, "D")
    assert "several losses at one D, 2.599 to 2.649 at 1e+10: if it is several runs" in said


def test_noise_alone_breaks_no_curve():
    """Of 60 curves of any length and scatter, half of them with the tails of Student's t at 4, at most 3."""
    rng, said = np.random.default_rng(100), 0
    for k in range(60):
        x = 1e7 * 10 ** np.linspace(0.0, rng.uniform(1, 4), int(rng.integers(8, 200)))
        law = rng.uniform(0.5, 3) + rng.uniform(0.3, 6) * (x / x[0]) ** -rng.uniform(0.05, 0.6)
        noise = rng.standard_t(4, len(x)) if k % 2 else rng.standard_normal(len(x))
        said += bool(broken(x, law * np.exp(10 ** rng.uniform(-4, -1.7) * noise), "D"))
    assert said <= 3

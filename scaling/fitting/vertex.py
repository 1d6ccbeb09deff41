"""Where a curve that was measured at a few points has its minimum: a best learning rate, a best size at one budget."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.errors import BadOption, require_kind
from scaling.fitting.data import Array, TooFewScales

_DEGREES = {"parabola": 2, "cubic": 3}
FORMS = {degree: form for form, degree in _DEGREES.items()}
"""The name of a polynomial by its degree."""


@dataclass(frozen=True)
class Vertex:
    """The minimum of a polynomial through a measured curve."""

    x: float
    stderr: float
    """Standard error of ln x; NaN where the polynomial goes through every point."""
    loss: float
    interior: bool
    """Whether the polynomial has a minimum between points on both sides; if not, x is the lowest point."""
    points: int


def vertex(x: ArrayLike, loss: ArrayLike, *, form: str = "parabola", within: float = 8.0) -> Vertex:
    """The minimum of a parabola or a cubic in ln x, by least squares through the points around the lowest.

        ln loss ≈ p(u),   u = ln(x / x_lowest),   p'(u*) = 0,   p''(u*) > 0
        var(u*) = q' S q / p''(u*)²,   q = (0, 1, 2u*, 3u*²),   S = covariance of the coefficients of p

    A parabola is symmetric in ln x and a loss curve is not: away from the middle its minimum is biased towards the
    flatter side. A cubic follows the asymmetry and pays with a larger standard error. Each says what the other hides.

    Args:
        x: positive, e.g. parameters.
        loss: as many as x, positive.
        form: "parabola" or "cubic".
        within: points up to this factor from the lowest are used; `math.inf` for all. The spacing of a grid leaves its
            neighbours alone, where the curve is nearest to a parabola.

    Raises:
        BadOption: another form, or a factor that is not above 1.
        TooFewScales: fewer different x than the polynomial has coefficients.

    Source:
        Hoffmann et al. 2022, arXiv:2203.15556, section 3.2 (approach 2), where the form is a parabola.
    """
    degree = degree_of(form)
    if not within > 1:
        raise BadOption("within", within, "a factor above 1, e.g. 8")
    x, loss = np.asarray(x, float), np.asarray(loss, float)
    places = np.unique(x)
    if len(places) < degree + 1:
        raise TooFewScales(f"a {form}", "x", tuple(places.tolist()), degree + 1)
    lowest, near = near_lowest(x, loss, within)
    u = np.log(x / x[lowest])
    at_edge = Vertex(float(x[lowest]), math.nan, float(loss[lowest]), False, int(near.sum()))
    if len(np.unique(u[near])) < degree + 1:
        return at_edge
    design, wanted = np.vander(u[near], degree + 1, increasing=True), np.log(loss[near])
    coefficients, *_ = np.linalg.lstsq(design, wanted, rcond=None)
    curve = np.polynomial.Polynomial(coefficients)
    place = float(minimum_of(coefficients))
    if not u[near].min() < place < u[near].max():
        return at_edge
    spare = len(wanted) - degree - 1
    stderr = math.nan
    if spare > 0:
        variance = float(((wanted - design @ coefficients) ** 2).sum()) / spare
        slope = np.arange(degree + 1) * place ** np.maximum(np.arange(degree + 1) - 1.0, 0.0)
        spread = slope @ np.linalg.inv(design.T @ design) @ slope * variance
        stderr = math.sqrt(spread) / float(curve.deriv(2)(place))
    return Vertex(float(x[lowest] * math.exp(place)), stderr, math.exp(curve(place)), True, len(wanted))


def degree_of(form: str) -> int:
    """2 for a parabola, 3 for a cubic.

    Raises:
        BadOption: another form.
    """
    require_kind("form", form, str, "'parabola' or 'cubic'")
    if form not in _DEGREES:
        raise BadOption("form", form, "'parabola' or 'cubic'")
    return _DEGREES[form]


def near_lowest(x: Array, loss: Array, within: float) -> tuple[int, NDArray[np.bool_]]:
    """The lowest point, and which points lie up to a factor from it."""
    lowest = int(np.lexsort((x, loss))[0])
    return lowest, np.abs(np.log(x / x[lowest])) <= math.log(within) * (1 + 1e-6) + 1e-12


def minimum_of(coefficients: Array) -> Array:
    """Where parabolas or cubics are flat and bend upwards; NaN where they do nowhere.

    The root of c1 + 2 c2 u + 3 c3 u² that goes over into the parabola's as c3 vanishes, without cancellation.

    Args:
        coefficients: from the constant up, shape (3 or 4, ...).
    """
    _, c1, c2, *rest = coefficients
    c3 = rest[0] if rest else np.zeros_like(c2)
    with np.errstate(all="ignore"):
        root = np.sqrt(c2 * c2 - 3.0 * c1 * c3)
        left = np.where(c3 != 0.0, (root - c2) / (3.0 * c3), np.nan)
        place = np.where(c2 > 0.0, -c1 / (c2 + root), left)
    return np.where(root > 0.0, place, np.nan)

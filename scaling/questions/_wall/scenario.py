"""The inputs of a forecast from one TOML file, the suite's or anybody's."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from scaling.arguments import checked
from scaling.errors import ScenarioError
from scaling.fitting import Fit
from scaling.questions._wall.inputs import (
    SHAPES,
    BadInput,
    Input,
    Inputs,
    Intervention,
    UnknownDistribution,
    UnknownInput,
)

SCENARIOS = Path(__file__).parent / "scenarios"


class MissingScenario(ScenarioError):
    """Neither a scenario of the suite nor a file."""

    given: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked for the scenario {self.given}, but there is no such file, and the suite has "
            f"{', '.join(self.known)}. Name one of these, or a TOML file."
        )


class UnreadableScenario(ScenarioError):
    """A scenario file that is not TOML."""

    path: str | Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path} cannot be read as TOML: {self.reason}. Correct that place in the file."


def scenarios() -> tuple[str, ...]:
    """Names of the scenarios that come with the suite."""
    return tuple(sorted(path.stem for path in SCENARIOS.glob("*.toml")))


@checked
def read_inputs(path_or_name: str | Path) -> Inputs:
    """The inputs of a scenario that comes with the suite, or of a TOML file.

        start = 2024
        demand = "historical"            # or "compute-optimal", "law", "either"

        [inputs.pages]
        distribution = "lognormal"       # normal, loguniform, uniform, constant, draws, fit
        low = 75e9
        high = 1e12
        level = 0.95
        unit = "pages"
        source = "…"
        date = "2024-06"

        [inputs.repeats]
        distribution = "fit"             # draws of a parameter of a fit that `Fit.save` wrote, beside this file
        fit = "repeats.json"
        parameter = "R_D"
        unit = "repeats to 1/e"
        source = "…"
        date = "2025-01"

        [interventions."no repetition"]
        input = "repeats"
        distribution = "constant"
        …

    Args:
        path_or_name: "published-2024", or the path of a file.

    Raises:
        MissingScenario: neither a scenario nor a file.
        UnreadableScenario: not TOML.
        UnreadableFit: a fit that cannot be read.
        MissingInput, UnknownInput and what else `Inputs` raises.
    """
    path = SCENARIOS / f"{path_or_name}.toml" if str(path_or_name) in scenarios() else Path(path_or_name)
    if not path.is_file():
        raise MissingScenario(str(path_or_name), scenarios())
    try:
        asked = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as reason:
        raise UnreadableScenario(path, str(reason)) from None
    for key in ("inputs", "interventions"):
        tables = asked.setdefault(key, {})
        if not (isinstance(tables, dict) and all(isinstance(table, dict) for table in tables.values())):
            raise BadInput("the scenario", key, tables, f"tables, e.g. [{key}.pages]")
    _known("the scenario", asked, ("name", "start", "horizon", "demand", "inputs", "interventions"))
    interventions = {}
    for name, table in asked["interventions"].items():
        where = f"intervention {name!r}"
        target = _taken(where, table, "input", str)
        interventions[name] = Intervention(target, _read(where, table, path.parent))
    return Inputs(
        name=str(asked.get("name", path.stem)),
        start=_taken("the scenario", asked, "start", float),
        horizon=_taken("the scenario", {"horizon": 2100, **asked}, "horizon", float),
        demand=asked.get("demand", "historical"),
        inputs={name: _read(name, table, path.parent) for name, table in asked["inputs"].items()},
        interventions=interventions,
    )


def _read(name: str, table: dict[str, Any], folder: Path) -> Input:
    """An input from its table, which loses its keys."""
    table = dict(table)
    kind = _taken(name, table, "distribution", str)
    if kind not in SHAPES:
        raise UnknownDistribution(name, kind, tuple(SHAPES))
    unit = _taken(name, table, "unit", str)
    source, date = (str(_taken(name, table, key, object)) for key in ("source", "date"))
    wanted: dict[str, type] = {"values": list, "fit": str, "parameter": str}
    given = {key: _taken(name, table, key, wanted.get(key, float)) for key in SHAPES[kind]}
    if "subtracted_from" in table:
        given["subtracted_from"] = _taken(name, table, "subtracted_from", float)
    _known(name, table, ())
    if kind == "fit":
        fit = Fit.load(folder / given["fit"])
        return Input.of_fit(fit, given["parameter"], unit=unit, source=source, date=date)
    if "values" in given:
        if not all(isinstance(v, int | float) for v in given["values"]):
            raise BadInput(name, "values", given["values"], "a list of numbers")
        given["values"] = tuple(map(float, given["values"]))
    return Input(distribution=kind, unit=unit, source=source, date=date, **given)


def _taken(where: str, table: dict[str, Any], key: str, kind: Any) -> Any:
    """The value of a key, which the table loses; any number where a float is wanted."""
    value = table.pop(key, None)
    kinds = (int, float) if kind is float else kind
    if value is None or not isinstance(value, kinds) or isinstance(value, bool):
        words = {float: "a number", str: "a text", list: "a list of numbers", object: "there"}
        raise BadInput(where, key, value, words.get(kind, "a number"))
    return float(value) if kind is float else value


def _known(where: str, table: dict[str, Any], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            every = known or ("distribution", "unit", "source", "date", "subtracted_from", *SHAPES["normal"])
            raise UnknownInput(key, every, where)

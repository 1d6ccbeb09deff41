"""Vega itself, without a browser: expressions, data pipelines and marks as they come out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import vl_convert


def marks(scene: Any, kind: str) -> Iterator[list[dict[str, Any]]]:
    """The items of each group of marks of a kind ("text", "symbol", "line") in a scene."""
    if isinstance(scene, dict):
        if scene.get("marktype") == kind:
            yield scene["items"]
        for value in scene.values():
            yield from marks(value, kind)
    elif isinstance(scene, list):
        for value in scene:
            yield from marks(value, kind)


def evaluate(traced: dict[str, list[dict[str, str]]], rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Each traced field's value for each row, as text; one run for all, because a start takes a second."""
    formulas = [
        {"type": "formula", "expr": step["calculate"], "as": step["as"]}
        for chain in traced.values()
        for step in chain
    ]
    texts = [
        {
            "type": "text",
            "from": {"data": "rows"},
            "encode": {"enter": {"text": {"signal": f"''+datum.{field}"}}},
        }
        for field in traced
    ]
    spec = {"data": [{"name": "rows", "values": rows, "transform": formulas}], "marks": texts}
    drawn = marks(vl_convert.vega_to_scenegraph(json.dumps(spec)), "text")
    groups = [[item["text"] for item in group] for group in drawn]
    assert len(groups) == len(traced), "Vega drew another number of marks than it was given"
    return {name: np.array(group) for name, group in zip(traced, groups, strict=True)}


def scene(chart: Any, **parameters: float) -> Any:
    """The scene of an altair chart, its sliders set to other values."""
    spec = chart.to_dict()
    for parameter in spec.get("params", ()):
        if parameter["name"] in parameters:
            parameter["value"] = parameters.pop(parameter["name"])
    assert not parameters, f"the chart has no {', '.join(parameters)}"
    spec["width"] = 800  # there is no page to be as wide as
    return vl_convert.vegalite_to_scenegraph(json.dumps(spec))


def words(scene: Any) -> list[str]:
    """Every text in a scene."""
    lines = [item.get("text", "") for group in marks(scene, "text") for item in group]
    return [part for line in lines for part in (line if isinstance(line, list) else [line])]


UNITS = (
    "FLOPs", "nats", "%", "tokens", "parameters", "month", "year", "date", "decades", "share", "to 1", "times the data",
    "epochs", "logits", "in compute", "points asked for", "unit of the law", "in its unit", "bits", "documents",
    "index", "standard errors",
)  # fmt: skip
"""What the title of an axis of numbers says that it counts."""


def drawn_titles(chart: Any) -> list[str]:
    """The title of every axis of numbers or dates that the chart draws, as Vega lays it out."""
    spec = chart.to_dict()
    assert "vega-lite" in spec["$schema"]
    for part in (spec, *spec.get("vconcat", ())):
        if part.get("width") == "container":
            part["width"] = 640  # there is no page to be as wide as
    compiled = vl_convert.vegalite_to_vega(json.dumps(spec))
    assert "<svg" in vl_convert.vega_to_svg(compiled)
    return list(_shown_axes(compiled))


def _shown_axes(group: dict[str, Any], outer: dict[str, str] | None = None) -> Iterator[str]:
    kinds = (outer or {}) | {scale["name"]: scale["type"] for scale in group.get("scales", ())}
    for axis in group.get("axes", ()):
        if kinds[axis["scale"]] not in ("band", "point") and axis.get("labels", True):
            title = axis.get("title", "")
            yield " ".join(title) if isinstance(title, list) else title
    for mark in group.get("marks", ()):
        yield from _shown_axes(mark, kinds)

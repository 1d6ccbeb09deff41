"""Altair charts on a page without a network: the Vega bundle once, then one small `div` per chart.

Altair's own renderers fetch Vega from a server, or repeat it with every chart. Here `enable()` puts it into the
page once, wherever that cell stands; a chart that is read before the bundle waits in a queue until it arrives. Nothing
is kept in the kernel, so a saved notebook draws again when it is opened, and so does its HTML.
"""

from __future__ import annotations

import itertools
import json
import re
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from typing import Any

import altair
import vl_convert

from scaling.charts import tables
from scaling.errors import FileError
from scaling.files import cache_folder, written_whole

_CHART = """\
<div class="scaling-chart" role="group" tabindex="0" aria-label="chart"><p>\
Run <code>from scaling.charts import live; live.enable()</code> in a cell of this page \
to draw this chart.</p></div>
<script>(() => {
  const here = document.currentScript.previousElementSibling;
  const draw = async () => {
    // Charts above one another are told the width of the page, and know nothing of the axis beside them.
    const patch = vega => {
      for (const signal of vega.autosize ? [] : vega.signals ?? [])
        if (signal.name === "width" && signal.init)
          signal.init = signal.on[0].update = `max(200,containerSize()[0]-%(axis)d)`;
        else if (signal.name === "child_width") {  // panels beside one another share the page, or stand below
          const most = vega.layout.columns, columns = `min(${most},max(1,floor(containerSize()[0]/300)))`;
          const update = `max(160,containerSize()[0]/(${columns})-130)`;
          Object.assign(signal, {init: update, on: [{events: "window:resize", update}]});
          delete signal.value;
          vega.layout.columns = {signal: columns};
        }
      return vega;
    };
    const {view} = await vegaEmbed(here, %(spec)s, {...%(options)s, patch});
    for (const slider of here.querySelectorAll(".vega-bind input")) {
      const words = slider.name + "_words", value = slider.parentElement.lastElementChild;
      const say = (_, text) => { value.textContent = text; slider.setAttribute("aria-valuetext", text); };
      try { say(words, view.signal(words)); } catch { continue; }
      view.addSignalListener(words, say);
    }
    let width = here.clientWidth;
    new ResizeObserver(() => {
      if (here.clientWidth !== width) { width = here.clientWidth; dispatchEvent(new Event("resize")); }
    }).observe(here);
  };
  (window.scalingCharts ??= []).push(draw);
})()</script>
"""

_PICTURE = 480
"""Points across of a chart that would fill its page."""
_TALL = 520
"""Points that charts above one another may take in a picture, without their axes."""
_TAG = re.compile(r"<[^>]*>")
_SPOKEN = re.compile(r' (?:aria-\w+|role)="[^"]*"')
_DIGITS = re.compile(r"-?\d+\.\d{3,}(?:e-\d+)?")
_LEGENDS = {"top": {"direction": "vertical", "anchor": "start"}}
"""Legends stand below one another, which the grammar does not know of and Vega does."""
AXIS = 104
"""Points that the labels and the title of an axis take beside charts that stand above one another."""

_SCRIPT = """\
(() => {
  if (!window.vegaEmbed) { (() => { %(code)s })(); }
  const waiting = window.scalingCharts;
  window.scalingCharts = {push: draw => draw()};
  if (Array.isArray(waiting)) waiting.forEach(draw => draw());
})()"""

STYLE = """\
.scaling-chart{width:100%;min-width:16rem;overflow:auto hidden;color:inherit;font:14px/1.4 system-ui,sans-serif}
.scaling-chart .vega-bindings{display:flex;flex-wrap:wrap;gap:.4rem 2.5rem;margin:.5rem 0 0}
.scaling-chart .vega-bind{flex:1 1 16rem}
.scaling-chart .vega-bind label{display:grid;grid-template-columns:1fr auto;gap:.1rem 1rem;align-items:baseline}
.scaling-chart .vega-bind input[type=range]{grid-row:2;grid-column:1/-1;width:100%;
accent-color:light-dark(#2457c5,#5790fc)}
.scaling-chart .vega-bind label>span:last-child{grid-row:1;grid-column:2;font-weight:600;
font-variant-numeric:tabular-nums}
.scaling-chart details{display:none}
@media print{.scaling-chart .vega-bind input{display:none!important}}
"""
"""Sliders: name on the left, value in words on the right, the track below; the same in JupyterLab and in a report."""


@cache
def library() -> str:
    """Vega, Vega-Lite and vega-embed as JavaScript, which puts them into the window it runs in.

    Putting it together takes over a second, so it is kept in the cache.
    """
    grammar = altair.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    kept = cache_folder("charts", f"vega-lite-{grammar}-of-{version('vl-convert-python')}.js")
    with suppress(OSError):
        return kept.read_bytes().decode()
    bundle = vl_convert.javascript_bundle(vl_version=grammar)  # pyright: ignore[reportCallIssue]  a default it hides
    with suppress(FileError), written_whole(kept, "the library of charts") as scratch:
        scratch.write_bytes(bundle.encode())
    return bundle


@cache
def script() -> str:
    """The library, and what draws the charts that wait for it, as one file of JavaScript."""
    return _SCRIPT.replace("%(code)s", library().replace("</script", "<\\/script"))


def _bundle() -> str:
    return f"<script>{script()}</script>\n<style>{STYLE}</style>\n"


class Bundle:
    """Vega, Vega-Lite and vega-embed for the page that shows this object."""

    def _repr_html_(self) -> str:
        return _bundle()

    def __repr__(self) -> str:
        return "charts on this page need no network"


def embed(spec: dict[str, Any]) -> str:
    """HTML of one chart, to stand on a page that has the `Bundle`.

    Every slider `name` shows the text of the parameter `name_words` as its value, where there is one.
    """
    legend = spec.get("config", {}).get("legend", {}) | {"layout": _LEGENDS}
    spec = spec | {"config": spec.get("config", {}) | {"legend": legend}}
    options = {"renderer": "svg", "actions": False, "tooltip": {"theme": "custom"}}
    text = json.dumps(spec, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return (
        _CHART.replace("%(options)s", json.dumps(options))
        .replace("%(axis)d", str(spec.get("usermeta", {}).get("axis", AXIS)))
        .replace("%(spec)s", text)
    )


def picture(html: str) -> str | None:
    """The first chart of what `embed` made, as it stands before a slider is moved, in SVG; None without a chart.

    Of charts above one another there are as many as a picture has room for.
    """
    _, marked, rest = html.partition(_CHART.partition("%(spec)s")[0].rpartition("\n")[2])
    if not marked:
        return None
    spec, _ = json.JSONDecoder().raw_decode(rest)
    if stacked := spec.get("vconcat"):
        given = (
            chart.get("height") for chart in stacked
        )  # a number, or the height of a row of unknown number
        ends = itertools.accumulate(height if isinstance(height, int) else _TALL // 2 for height in given)
        spec["vconcat"] = stacked[: max(1, sum(end <= _TALL for end in ends))]
    for chart in (spec, *spec.get("vconcat", ())):
        if chart.get("width") == "container":
            chart["width"] = _PICTURE
    return _TAG.sub(lambda tag: _lean(tag[0]), vl_convert.vegalite_to_svg(json.dumps(spec)))


def _lean(tag: str) -> str:
    """A tag of a picture without what nobody sees: words for hundreds of marks, digits below a hundredth of a point."""
    return _DIGITS.sub(lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), _SPOKEN.sub("", tag))


def enable() -> Bundle:
    """Draw altair charts without a network, and show polars tables in words, from here on.

    Show what this returns in the same cell.

    from scaling.charts import live
    live.enable()
    """
    _use(alone=False)
    tables.enable()
    return Bundle()


def enable_alone() -> None:
    """Where nobody asked for `enable`, let each chart carry the bundle; a renderer that the user chose stays."""
    if altair.renderers.active in ("default", "html"):
        _use(alone=True)


def _use(alone: bool) -> None:
    def render(spec: dict[str, Any], **_: Any) -> dict[str, str]:
        return {"text/html": embed(spec) + (_bundle() if alone else "")}

    altair.renderers.register("scaling", render)
    altair.renderers.enable("scaling")
    altair.data_transformers.disable_max_rows()

"""What experiment trackers write, as one row for each run or for each run and step.

Weights & Biases (charts and tables saved as CSV, wandb-summary.json and its config, histories), Hugging Face
(trainer_state.json, all_results.json), TensorBoard (event files, charts saved as CSV), Lightning (metrics.csv) and
MLflow (mlruns, runs and charts saved as CSV).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from scaling.errors import MissingPackage
from scaling.intake.cells import is_missing
from scaling.intake.raw import NotATable, Raw, flattened, rows_of
from scaling.units import counted

STEPS = ("step", "_step", "global_step", "Step", "trainer/global_step", "iteration", "iter")
_HELD_OUT = (
    "val_loss",
    "eval_loss",
    "valid_loss",
    "validation_loss",
    "test_loss",
    "dev_loss",
    "heldout_loss",
)
_HELD_OUT_PLACES = ("val", "eval", "valid", "validation", "test", "dev", "heldout", "held_out")
_RUNS = ("run", "name", "Run", "Name", "run_id", "Run ID", "run_name", "seed")
_CLOCKS = (
    "timestamp",
    "_timestamp",
    "_runtime",
    "wall_time",
    "Wall time",
    "wall time",
    "epoch",
    "train/epoch",
)
_METRICS, _VALUES = ("metric", "variable", "tag", "key", "Metric", "Key"), ("value", "Value")
_BOUNDS = re.compile(r"__(MIN|MAX)$")
_ENDED = {"finished": "done", "completed": "done", "success": "done", "succeeded": "done"}
_STATES = {
    "crashed",
    "failed",
    "killed",
    "running",
    "pending",
    "preempted",
    "scheduled",
    "paused",
    "diverged",
    "done",
}


def understood(raw: Raw) -> Raw:
    """A table as trackers save them, as one row for each run, or run and step; any other table as it is."""
    for shape in (_chart_of_runs, _board_chart, _one_metric_a_row, _log):
        raw = shape(raw)
    return _with_status(raw)


def _chart_of_runs(raw: Raw) -> Raw:
    """A chart of Weights & Biases saved as CSV, which has columns for each run: "run-a - val/loss"."""
    names = raw.frame.columns
    across = [n for n in names if " - " not in n]
    parts = {n: n.rpartition(" - ") for n in names if " - " in n}
    runs = list(dict.fromkeys(run for run, _, _ in parts.values()))
    plain = [m for _, _, m in parts.values() if not _BOUNDS.search(m)]
    metrics = list(dict.fromkeys(plain))
    if len(across) != 1 or (len(plain) == len(parts) and len(plain) == len(metrics)):
        return raw
    if across[0] in STEPS:
        metrics = [m for m in metrics if m != "_step"]
    pieces = []
    for run in runs:
        own = {m: f"{run} - {m}" for m in metrics if f"{run} - {m}" in names}
        piece = raw.frame.select(
            pl.lit(run).alias("run"), across[0], *(pl.col(n).alias(m) for m, n in own.items())
        )
        empty = [is_missing(piece[m].cast(pl.String)) for m in own]
        pieces.append(piece.filter(~pl.all_horizontal(empty)))
    words = (
        f"a chart of Weights & Biases, wide, with columns for each of {counted(len(runs), 'run')}: unpivoted into one "
        "row for each run and step; its __MIN and __MAX are left out"
    )
    frame = pl.concat(pieces, how="diagonal_relaxed")
    return raw.noting(words, kind="Weights & Biases chart", frame=frame, lines=None, log=True)


def _board_chart(raw: Raw) -> Raw:
    """A chart of TensorBoard saved as CSV: Wall time, Step, Value; run and tag stand in the file's name alone."""
    if raw.frame.columns != ["Wall time", "Step", "Value"]:
        return raw
    named = re.fullmatch(r"(?:run[_-])?(.+?)[-_]tag[-_](.+)\.csv", raw.source)
    run, tag = (named[1], named[2]) if named else ("", "Value")
    frame = raw.frame.rename({"Value": tag}).drop("Wall time").with_columns(pl.lit(run).alias("run"))
    words = f"a chart of TensorBoard: its values are {tag!r}" + (f" of the run {run!r}" if run else "")
    return raw.noting(words, kind="TensorBoard chart", frame=frame, log=True)


def _one_metric_a_row(raw: Raw) -> Raw:
    """A long table with a column for the metric's name and one for its value, as a column for each metric."""
    frame = raw.frame
    metric, value = (next((n for n in names if n in frame.columns), None) for names in (_METRICS, _VALUES))
    if metric is None or value is None or frame[metric].dtype != pl.String or "loss" in frame.columns:
        return raw
    keys = [n for n in frame.columns if n not in (metric, value, *_CLOCKS)]
    if not keys or not frame[metric].str.to_lowercase().str.contains("loss|ppl|perplexity|bpb").any():
        return raw
    wide = frame.pivot(metric, index=keys, values=value, aggregate_function="last", maintain_order=True)
    words = f"{metric!r} names a metric in each row: made a column for each, one row for each {' and '.join(keys)}"
    return raw.noting(words, kind="table of metrics, one a row", frame=wide, lines=None)


def _log(raw: Raw) -> Raw:
    """A log with a step in each row; rows of one step that complete each other become one."""
    step = next((n for n in STEPS if n in raw.frame.columns), None)
    if step is None:
        return raw
    keys = [n for n in _RUNS if n in raw.frame.columns] + [step]
    frame = raw.frame.with_columns(
        pl.when(~is_missing(raw.frame[n])).then(pl.col(n)).alias(n)
        for n, kind in raw.frame.schema.items()
        if kind == pl.String
    )
    rest = [n for n in frame.columns if n not in keys and not frame[n].dtype.is_nested()]
    merged = frame.group_by(keys, maintain_order=True).agg(pl.all().drop_nulls().last())
    if merged.height == frame.height or frame.height == 0:
        return raw.noting(log=True)
    counts = frame.group_by(keys).agg(pl.col(n).drop_nulls().n_unique() for n in rest if n not in _CLOCKS)
    if any((counts[n] > 1).any() for n in counts.columns if n not in keys):
        return raw.noting(log=True)
    words = f"{frame.height} rows that complete each other are one for each of {merged.height} steps"
    return raw.noting(words, frame=merged.select(frame.columns), lines=None, log=True)


def _with_status(raw: Raw) -> Raw:
    """A tracker's word on how a run ended, in the suite's: a finished run is "done"."""
    name = next((n for n in raw.frame.columns if n.lower() in ("status", "state")), None)
    if (
        name is None
        or raw.frame[name].dtype != pl.String
        or (name != "status" and "status" in raw.frame.columns)
    ):
        return raw
    words = raw.frame[name].str.strip_chars().str.to_lowercase()
    if not (words.is_in(list(_STATES | set(_ENDED))) | is_missing(raw.frame[name])).all():
        return raw
    status = pl.when(~is_missing(words)).then(words.replace(_ENDED)).alias("status")
    frame = raw.frame.with_columns(status)
    frame = frame if name == "status" else frame.drop(name)
    unfinished = frame.filter(pl.col("status") != "done")["status"].value_counts(sort=True).rows()
    notes = (
        [f"did not end well: {', '.join(f'{n} {w}' for w, n in unfinished)} (see status)"]
        if unfinished
        else []
    )
    return raw.noting(*notes, frame=frame)


def is_held_out(name: str) -> bool:
    """Whether a metric is a held-out loss by its name: val_loss, Val Loss, eval/loss, metrics.validation_loss."""
    parts = re.sub(r"[ -]+", "_", name.strip().lower()).replace(".", "/").split("/")
    return parts[-1] in _HELD_OUT or (
        parts[-1] == "loss" and len(parts) > 1 and parts[-2] in _HELD_OUT_PLACES
    )


# --- files of their own ------------------------------------------------------------------------------


def of_trainer(source: str, document: Mapping[str, Any]) -> Raw:
    """The history in a trainer_state.json of Hugging Face, one row for each step.

    `loss` there is the training loss since the last entry, `eval_loss` the held-out one.
    """
    history = [row for row in document["log_history"] if isinstance(row, dict)]
    if not history:
        raise NotATable(
            source, "its log_history is empty", "Log while training: logging_steps of TrainingArguments."
        )
    raw = Raw(source, "Hugging Face trainer state", rows_of(source, history), log=True)
    notes = []
    if {"loss", "eval_loss"} <= set(raw.frame.columns):
        notes = [
            "loss is the training loss; for the held-out one say columns={'eval_loss': 'loss', 'loss': 'train_loss'}"
        ]
    return _log(raw).noting(*notes)


def is_harness(document: Mapping[str, Any]) -> bool:
    """Whether it is what lm-evaluation-harness writes: results by task, and beside them how they were made."""
    results = document.get("results")
    return (
        isinstance(results, Mapping)
        and bool({"versions", "n-shot", "configs", "config"} & set(document))
        and all(isinstance(scores, Mapping) for scores in results.values())
    )


def of_harness(source: str, document: Mapping[str, Any]) -> Raw:
    """Scores of lm-evaluation-harness, one row for each task: its metrics without the filter in their names
    ("acc,none"), and what it says of the model."""
    told = {k: v for k, v in (document.get("config") or {}).items() if k.startswith("model")}
    shots = document.get("n-shot") or {}
    rows = [
        told
        | {"task": task, "n_shot": shots.get(task)}
        | {name.removesuffix(",none"): value for name, value in scores.items() if name != "alias"}
        for task, scores in document["results"].items()
    ]
    words = (
        "results of lm-evaluation-harness: one row for each task; tokens, parameters and loss are not in them"
    )
    return Raw(source, "lm-evaluation-harness", rows_of(source, rows), notes=(words,))


def is_config(document: Mapping[str, Any]) -> bool:
    """Whether it is a run's configuration as Weights & Biases keeps it, {"lr": {"value": 0.001}}."""
    return all(
        isinstance(v, dict) and "value" in v
        for k, v in document.items()
        if k not in ("_wandb", "wandb_version")
    )


def of_summary(path: Path, document: Mapping[str, Any]) -> Raw:
    """One run's last values, as wandb-summary.json and all_results.json hold them, its config beside them."""
    notes: list[str] = []
    row = _row_of(document)
    config = path.with_name("config.yaml")
    if path.name == "wandb-summary.json" and config.is_file():
        try:
            import yaml
        except ImportError:
            notes.append(f"{config.name} beside it is not read: {MissingPackage('PyYAML', 'wandb')}")
        else:
            row = _row_of(yaml.safe_load(config.read_text()) or {}) | row
    if path.parent.name == "files":
        row = {"name": path.parent.parent.name} | row
    return _with_status(
        Raw(path.name, "one run's summary", rows_of(path.name, [row]), notes=tuple(notes), log=True)
    )


def _row_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Names and values of a summary or a config, without pictures, histograms and the tracker's own notes."""
    own = {k: v for k, v in document.items() if k not in ("_wandb", "wandb_version")}
    if own and is_config(own):
        own = {k: v["value"] for k, v in own.items()}
    return flattened({k: v for k, v in own.items() if not (isinstance(v, dict) and "_type" in v)})


def is_event_file(path: Path) -> bool:
    """Whether its name is that of TensorBoard's event files."""
    return ".tfevents." in path.name


def read_events(path: Path) -> Raw:
    """The scalars of an event file of TensorBoard, one row for each step, a column for each tag.

    Raises:
        MissingPackage: tensorboard is not installed.
        NotATable: no scalar can be read from it.
    """
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.util.tensor_util import make_ndarray
    except ImportError:
        raise MissingPackage("tensorboard", "tensorboard") from None
    events = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    tags = events.Tags()
    points = [(tag, e.step, e.value) for tag in tags["scalars"] for e in events.Scalars(tag)]
    for tag in tags["tensors"]:
        arrays = [(e.step, make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)]
        points += [(tag, step, a.item()) for step, a in arrays if a.size == 1 and a.dtype.kind in "fiu"]
    if not points:
        raise NotATable(
            path.name, "no scalar can be read from it", "Log some by add_scalar(tag, value, step)."
        )
    rows: dict[int, dict[str, Any]] = {}
    for tag, step, value in sorted(points, key=lambda point: point[1]):
        rows.setdefault(step, {"step": step})[tag] = value
    return Raw(path.name, "TensorBoard events", rows_of(path.name, list(rows.values())), log=True)


def read_folder(folder: Path, read: Callable[[Path], Raw]) -> Raw:
    """The runs that a tracker wrote under a folder, `name` saying which rows are whose.

    Args:
        folder: of TensorBoard, of Weights & Biases, of Lightning, of MLflow or of a Hugging Face trainer.
        read: reads one of its files.

    Raises:
        NotATable: it has none of their files.
    """
    finders = (
        ("*.tfevents.*", lambda p: p.parent),
        (
            "trainer_state.json",
            lambda p: p.parent.parent if p.parent.name.startswith("checkpoint-") else p.parent,
        ),
        ("wandb-summary.json", lambda p: p.parent.parent if p.parent.name == "files" else p.parent),
        ("metrics.csv", lambda p: p.parent),
    )
    for pattern, run_of in finders:
        runs: dict[Path, list[Path]] = {}
        for path in sorted(folder.rglob(pattern)):
            runs.setdefault(run_of(path), []).append(path)
        if pattern == "trainer_state.json":  # each checkpoint repeats the history so far
            runs = {run: [max(paths, key=_checkpoint)] for run, paths in runs.items()}
        if runs:
            named = {str(run.relative_to(folder)): [read(p) for p in paths] for run, paths in runs.items()}
            return _together(folder, named)
    if logged := [
        m.parent for m in sorted(folder.rglob("metrics")) if m.is_dir() and (m.parent / "params").is_dir()
    ]:
        return _together(folder, {run.name: [_mlflow_run(run)] for run in logged})
    raise NotATable(
        folder.name,
        "it is a folder without event files, trainer_state.json, wandb-summary.json, metrics.csv or mlruns",
        "Name a file in it; a study's folder is opened by open_runs.",
    )


def _checkpoint(path: Path) -> tuple[int, int]:
    """Order of a trainer's states: that beside the checkpoints last."""
    number = re.search(r"checkpoint-(\d+)$", path.parent.name)
    return (0, int(number[1])) if number else (1, 0)


def _mlflow_run(folder: Path) -> Raw:
    """A run in MLflow's folder of files: params/<name>, and metrics/<name> with lines of time, value and step."""
    params = {p.name: p.read_text().strip() for p in sorted((folder / "params").iterdir())}
    rows: dict[int, dict[str, Any]] = {}
    for file in sorted((folder / "metrics").rglob("*")):
        for line in file.read_text().splitlines() if file.is_file() else ():
            _, value, step = line.split()[:3]
            tag = str(file.relative_to(folder / "metrics"))
            rows.setdefault(int(step), {"step": int(step)} | params)[tag] = float(value)
    return Raw(folder.name, "MLflow run", rows_of(folder.name, list(rows.values())), log=True)


def _together(folder: Path, runs: Mapping[str, Iterable[Raw]]) -> Raw:
    """One table of many runs' tables."""
    parts = [(name, raw) for name, raws in runs.items() for raw in raws]
    frames = [
        raw.frame if "name" in raw.frame.columns else raw.frame.with_columns(pl.lit(name).alias("name"))
        for name, raw in parts
    ]
    frame = pl.concat(_alike(frames), how="diagonal_relaxed")
    notes = dict.fromkeys(note for _, raw in parts for note in raw.notes)
    first = parts[0][1]
    return Raw(
        folder.name,
        f"{len(parts)} × {first.kind}",
        frame,
        notes=tuple(notes),
        log=all(raw.log for _, raw in parts),
    )


def _alike(frames: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Frames whose columns of one name have one kind, text where they differ in that."""
    kinds: dict[str, set[bool]] = {}
    for frame in frames:
        for name, kind in frame.schema.items():
            kinds.setdefault(name, set()).add(kind == pl.String)
    mixed = {name for name, text in kinds.items() if len(text) > 1}
    return [f.with_columns(pl.col(n).cast(pl.String) for n in f.columns if n in mixed) for f in frames]

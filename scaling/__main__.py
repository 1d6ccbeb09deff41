"""The command line: the parts of the suite under the names they have in Python.

Exit status: 0 done, 1 something failed on the way, 2 refused with the reason in one line, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

try:
    import click
except ImportError:
    sys.exit("scaling: the command line needs click and rich. Add them with pip install 'scaling[cli]'.")

from scaling import __version__
from scaling.errors import MissingColumns, ScalingError

EXIT_FAILED, EXIT_REFUSED, EXIT_INTERRUPTED = 1, 2, 130


class _Commands(click.Group):
    """Turns the suite's exceptions into one line and an exit status; keeps the order in which commands are written."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ScalingError as problem:
            from scaling.sweeps.launch import (
                WorkersFailed,  # here, because a page of help does without polars
            )

            options = {o.name for o in self.commands[str(ctx.invoked_subcommand)].params}
            words = str(problem)
            if isinstance(problem, MissingColumns) and "columns" in options:
                words = problem.on_the_command_line
            click.echo(f"scaling: {words}", err=True)
            ctx.exit(EXIT_FAILED if isinstance(problem, WorkersFailed) else EXIT_REFUSED)
        except (KeyboardInterrupt, click.Abort):
            click.echo("\nscaling: stopped; type the same command to go on where it was.", err=True)
            ctx.exit(EXIT_INTERRUPTED)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


PATH = click.Path(path_type=Path)
SETTINGS = {"help_option_names": ["-h", "--help"], "show_default": True}


def _reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say how a table of somebody's is read."""
    for option, words in (
        ("--units", "The unit of a column, e.g. D=B or loss=perplexity; may be given again."),
        ("--columns", "A column's own name, and the schema's, e.g. tokens=D; may be given again."),
    ):
        command = click.option(option, multiple=True, metavar="NAME=VALUE", help=words)(command)
    return command


@click.group(cls=_Commands, context_settings=SETTINGS)
@click.version_option(__version__)
def cli() -> None:
    """Train many small language models, fit scaling laws to them, and report what the fits can and cannot tell.

    \b
    Example:
      scaling sweep runs/quickstart/study.toml && scaling report quickstart
    """


@cli.command()
@click.argument("study", type=PATH)
@click.option(
    "--workers", type=click.IntRange(1), help="Stacks at once.  [default: one for each core, or each GPU]"
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    help="Where to train; auto is a GPU where there is one.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    help="Of activations and products; auto is bf16 on a GPU.",
)
@click.option("--no-graph", is_flag=True, help="On a GPU, do not record steps as CUDA graphs.")
@click.option("--compile", is_flag=True, help="Fuse element-wise work by torch.compile; pays for long runs.")
@click.option("--ranks", type=click.IntRange(1), default=1, help="Cores or GPUs that train one stack.")
@click.option(
    "--engine", type=click.Choice(["local", "ray", "slurm"]), default="local", help="Where it runs."
)
@click.option("--address", metavar="HOST:PORT", help="Of a Ray cluster's head; one is made here by default.")
@click.option("--option", "-o", multiple=True, metavar="NAME=VALUE", help="Of the engine, e.g. gpus=0.25.")
@click.option("--store", metavar="URL", help="Shared with other machines, e.g. s3://bucket/prefix.")
@click.option("--here", is_flag=True, help="Train on this machine also what is committed, to compare.")
@click.option("--dry-run", is_flag=True, help="Say what would be trained, and train nothing.")
@click.option(
    "--devices", metavar="COUNTS", help="With --dry-run: what it takes on fleets of GPUs, e.g. 8,64,1024."
)
@click.option("--gpu-flops", type=float, help="FLOP/s of one of them.  [default: as measured by the study]")
@click.option("--mtbf-hours", type=float, help="Mean hours between failures of one.  [default: 50,676]")
@click.option("--price", type=float, help="Of an hour of one, in any currency.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def sweep(
    study: Path,
    workers: int | None,
    device: str,
    precision: str,
    no_graph: bool,
    compile: bool,
    ranks: int,
    engine: str,
    address: str | None,
    option: tuple[str, ...],
    store: str | None,
    here: bool,
    dry_run: bool,
    devices: str | None,
    gpu_flops: float | None,
    mtbf_hours: float | None,
    price: float | None,
    quiet: bool,
) -> None:
    """Train what a STUDY file asks for and the store does not have yet.

    Interrupt it whenever you like: the same command goes on where it was.

    \b
    Example:
      scaling sweep runs/quickstart/study.toml --dry-run
      scaling sweep runs/ladder-gpu --dry-run --devices 8,64,1024 --gpu-flops 4e14
    """
    from scaling.store import shared_or_own
    from scaling.study import read_study
    from scaling.sweeps.engines import make_engine
    from scaling.sweeps.engines.base import Asked
    from scaling.sweeps.fleet import Failures, fleet_words
    from scaling.sweeps.launch import sweep as run_sweep
    from scaling.sweeps.plan import plan_sweep

    wanted = read_study(study)
    asked = Asked(
        workers=workers, device=device, precision=precision, graph=not no_graph, compile=compile, ranks=ranks
    )
    place = make_engine(engine, _pairs(option) | ({"address": address} if address else {}))
    if dry_run:
        rows = shared_or_own(wanted, store)
        plan = plan_sweep(wanted, place.capacity(asked), asked, here=here, progress=not quiet, store=rows)
        click.echo(plan)
        if devices:
            failures = Failures() if mtbf_hours is None else Failures(mtbf_hours=mtbf_hours)
            made, speed = plan.on_fleets(_counts(devices), failures, flops_per_second=gpu_flops)
            click.echo("\n".join(fleet_words(made, failures, speed, price)))
        return
    rows = run_sweep(wanted, here=here, progress=not quiet, engine=place, store=store, **asdict(asked))
    click.echo(f"{rows.height} runs of {wanted.name} in the store")


@cli.command()
@click.argument("runs")
@click.option("--law", "law_name", default="chinchilla", help="A function of scaling.laws.")
@click.option(
    "--objective",
    default="huber_log",
    help="What is made small: huber_log, or another that scaling.fit names.",
)
@click.option("--bootstrap", type=click.IntRange(0), default=1000, help="Refits; 0 for none.")
@click.option("--cluster", default="auto", help='What is resampled together: a column, or "rows".')
@click.option("--origin", type=click.Choice(["committed", "local"]), help="Only rows that were made there.")
@click.option("--where", metavar="SQL", help='Only rows that fulfil a condition, e.g. "epochs = 1".')
@_reading
@click.option("--fixed", multiple=True, metavar="NAME=VALUE", help="Hold a parameter; may be given again.")
@click.option("--seed", type=int, default=0, help="Of the bootstrap.")
@click.option("--save", type=PATH, help="Write the fit as JSON.")
def fit(
    runs: str,
    law_name: str,
    origin: str | None,
    where: str | None,
    columns: tuple[str, ...],
    units: tuple[str, ...],
    fixed: tuple[str, ...],
    save: Path | None,
    **options: Any,
) -> None:
    """Fit a law to RUNS: a study's folder, a table of anybody's, or published:NAME.

    \b
    Example:
      scaling fit runs/quickstart --where "epochs = 1" --law power_mean
      scaling fit table.csv --columns params=N --columns tokens=D --units D=B
    """
    from scaling import laws, open_runs
    from scaling.fitting import fit as fit_law
    from scaling.store import select_rows

    held = dict(map(_assignment, fixed))
    law = laws.get(law_name)
    table = open_runs(runs, origin=origin, columns=_pairs(columns), units=_pairs(units))
    fitted = fit_law(law, select_rows(table, where) if where else table, fixed=held or None, **options)
    click.echo(fitted)
    if save:
        fitted.save(save)


@cli.command()
@click.argument("runs")
@click.option(
    "--target",
    "targets",
    multiple=True,
    required=True,
    metavar="DOMAIN=WEIGHT",
    help="Whose loss is to be low, and how much it counts; may be given again.",
)
@click.option(
    "--size", type=float, help="Parameters of the models, N.  [default: the largest there are runs of]"
)
@click.option("--tokens", type=float, help="Of the proposal, where runs differ in them.  [default: the most]")
@click.option(
    "--limit", "limits", multiple=True, metavar="DOMAIN=LOW:HIGH", help="Shares allowed; may be given again."
)
@click.option(
    "--law",
    type=click.Choice(["auto", "additive_mixing", "exchange", "mixing"]),
    default="auto",
    help="Of the loss; auto is what predicts blends left out best.",
)
@click.option("--where", metavar="SQL", help='Only rows that fulfil a condition, e.g. "seed = 0".')
@click.option("--level", type=float, default=0.8, help="Of the intervals.")
@click.option("--bootstrap", type=click.IntRange(20), default=200, help="Refits.")
@click.option("--seed", type=int, default=0, help="Of the refits.")
def blend(
    runs: str,
    targets: tuple[str, ...],
    size: float | None,
    tokens: float | None,
    limits: tuple[str, ...],
    where: str | None,
    **options: Any,
) -> None:
    """Propose a blend of domains from RUNS on other blends: a study's folder, a table, or published:NAME.

    Of a study, runs on placebos are left out.

    \b
    Example:
      scaling blend published:code-shares --target c4=1
      scaling blend runs/mine --target english=2 --target code=1 --limit code=0:0.3
    """
    from scaling import open_runs
    from scaling.design.blending import blend as best_blend
    from scaling.design.domains import without
    from scaling.store import select_rows
    from scaling.study import read_study

    target = dict(map(_assignment, targets))
    within = dict(map(_range, limits))
    table = open_runs(runs)
    rows = select_rows(table, where) if where else table
    if (Path(runs) / "study.toml").is_file():
        rows = without(rows, read_study(runs).corpus.placebo_of)
    click.echo(best_blend(rows, target, N=size, D=tokens, limits=within, **options))


@cli.command()
@click.argument("runs")
@click.option(
    "--question",
    required=True,
    metavar="NAME",
    help="exponent, forecast, surface, law, plateau, repetition, transfer, slope, exchange or blend.",
)
@click.option("--flops", type=float, help="The budget.")
@click.option("--hours", type=float, help="The budget in its place, at the speed of the runs so far.")
@click.option("--law", "law_name", help="A function of scaling.laws.  [default: chinchilla]")
@click.option("--parameter", help="Of the law, for exponent and repetition.  [default: all exponents, R_D]")
@click.option("--at", "C", type=float, help="FLOPs of the forecast.  [default: ten times the largest run]")
@click.option("--reading", help="The column that slope is of, a row for each N and seed.")
@click.option("--target", metavar="DOMAIN", help="Whose loss exchange and blend ask about.")
@click.option(
    "--study", type=PATH, help="Whose text, shape and rate to train with.  [default: RUNS, if it is one]"
)
@click.option("--where", metavar="SQL", help='Only rows that fulfil a condition, e.g. "epochs = 1".')
@_reading
@click.option(
    "--stop-below", type=float, default=0.2, help="Say stop where a decade more shrinks less than this."
)
@click.option("--level", type=float, default=0.8, help="Of the intervals.")
@click.option("--bootstrap", type=click.IntRange(100), default=400, help="Refits.")
@click.option("--seed", type=int, default=0, help="Of the refits.")
def propose(
    runs: str,
    law_name: str | None,
    study: Path | None,
    where: str | None,
    columns: tuple[str, ...],
    units: tuple[str, ...],
    **options: Any,
) -> None:
    """The next runs that would tell most for a budget, given RUNS: a study for scaling sweep, on standard output.

    What it expects of them stands in the comments at its head.

    \b
    Example:
      scaling propose runs/quickstart --question exponent --flops 1e13 > study.toml
      scaling propose runs/transfer-text --question transfer --hours 2 > study.toml
    """
    from scaling import laws, open_runs
    from scaling.design.propose import propose as propose_runs
    from scaling.store import select_rows

    with contextlib.redirect_stdout(sys.stderr):  # what is said about the rows is no part of the study
        table = open_runs(runs, columns=_pairs(columns), units=_pairs(units))
        rows = select_rows(table, where) if where else table
        folder = Path(runs)
        own = folder if (folder / "study.toml").is_file() or folder.suffix == ".toml" else None
        law = laws.get(law_name) if law_name else None
        made = propose_runs(rows, law=law, study=study or own, **options)
    click.echo(made.study, nl=False)


@cli.command()
@click.argument("file", type=PATH)
@_reading
@click.option(
    "--decimal", type=click.Choice([".", ","]), help="The decimal mark, where numbers leave it open."
)
def check(file: Path, columns: tuple[str, ...], units: tuple[str, ...], decimal: str | None) -> None:
    """What a FILE of runs is understood to be, what looks wrong in it, and what a fit of it could tell.

    \b
    Example:
      scaling check table.csv --columns params=N --columns tokens=D --units D=B
    """
    from scaling.check import check_runs

    click.echo(check_runs(file, columns=_pairs(columns), units=_pairs(units), decimal=decimal))


@cli.command()
@click.argument("folder", type=PATH)
@click.option(
    "--like",
    default="quickstart",
    show_default=True,
    help="quickstart; text, your own text; table, your own table of runs; transfer, a study of blends; gpu, a ladder.",
)
def new(folder: Path, like: str) -> None:
    """Make a working FOLDER: a study or a table, its notebook, and where its rows will be.

    \b
    Example:
      scaling new mine --like text
    """
    from scaling.reports import start

    for path in start(folder, like):
        click.echo(path)
    there, name, study = (
        shlex.quote(str(p)) for p in (folder, folder.name, f"runs/{folder.name}/study.toml")
    )
    train = "" if like == "table" else f"scaling sweep {study} && "
    click.echo(f"Go on with: cd {there} && {train}scaling report {name}")


@cli.command()
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="Every notebook, and an index of their answers.")
@click.option(
    "-p", "--parameter", multiple=True, metavar="NAME=VALUE", help="Of the notebook; may be given again."
)
@click.option("--pdf", is_flag=True, help="Print the page too, by the Chromium of this machine.")
@click.option(
    "--watch",
    "study",
    metavar="STUDY",
    type=PATH,
    help="Write a page of a study's curves so far, and again as rows arrive, until all are there.",
)
@click.option("--out", "--output", type=PATH, default=Path("reports"), help="Folder for what is written.")
def report(
    name: str | None, every: bool, parameter: tuple[str, ...], pdf: bool, study: Path | None, out: Path
) -> None:
    """Execute a notebook and write it as one HTML file that opens offline.

    NAME is a notebook's under notebooks/ or in the suite, its path, or a study that names its notebook.

    \b
    Example:
      scaling report quickstart
      scaling report plateau -p study=runs/mine --pdf
      scaling report --all
      scaling report --watch runs/mine
    """
    from scaling.reports import report as write_report
    from scaling.reports import site, watch
    from scaling.reports.parameters import parameter_value
    from scaling.reports.suite import notebooks
    from scaling.study import read_study

    if every + (name is not None) + (study is not None) != 1:
        there = ", ".join(notebooks())
        raise click.UsageError(f"give the name of a notebook, --all or --watch STUDY: there are {there}")
    if study:
        watch(study, out=out)
        return
    if name is None:
        site(out=out)
        return
    own = Path(name if Path(name, "study.toml").exists() else f"runs/{name}") / "study.toml"
    if name not in notebooks() and own.exists():
        if not (named := read_study(own).notebook):
            way = f'add notebook = "quickstart" to it, or try scaling report quickstart -p study={own.parent}'
            raise click.UsageError(f"{own} names no notebook: {way}")
        name = named
    given = {key: parameter_value(value) for key, value in _pairs(parameter).items()}
    write_report(name, out=out, parameters=given, pdf=pdf)


@cli.command()
@click.argument("inputs")
@click.option("--draws", type=click.IntRange(100), default=200_000, help="Of the Monte Carlo.")
@click.option("--seed", type=int, default=0, help="Of the Monte Carlo.")
@click.option("--law", type=PATH, help="A saved fit that says what repeats cost.")
@click.option("--by", type=float, default=2030.0, help="The year that is asked about.")
@click.option("--out", type=PATH, default=Path("reports/wall.html"), help="The page that is written.")
@click.option("--no-report", is_flag=True, help="Print the verdict, and write nothing.")
def wall(inputs: str, draws: int, seed: int, law: Path | None, by: float, out: Path, no_report: bool) -> None:
    """When demand for text reaches its stock, from INPUTS: a scenario of the suite or a TOML file.

    Prints the verdict, and writes it with every input and its source as one HTML file, beside it the notebook.

    \b
    Example:
      scaling wall published-2024 --by 2030
    """
    from scaling.fitting import Fit
    from scaling.questions import read_inputs
    from scaling.questions import wall as forecast
    from scaling.questions._wall.scenario import scenarios
    from scaling.reports import report as write_report
    from scaling.reports import write_notebook

    given = read_inputs(inputs)
    click.echo(str(forecast(given, draws=draws, seed=seed, law=Fit.load(law) if law else None, by=by)))
    if no_report:
        return
    where = inputs if inputs in scenarios() else str(Path(inputs).resolve())
    with_law = f", law=Fit.load({str(law.resolve())!r})" if law else ""
    write_notebook(
        out.with_suffix(".ipynb"),
        "# When is the data wall?",
        "from scaling.charts import live, plot\n"
        "from scaling.fitting import Fit\nfrom scaling.questions import read_inputs, wall\n\nlive.enable()\n"
        f"inputs = read_inputs({where!r})\n"
        f"verdict = wall(inputs, draws={draws}, seed={seed}{with_law}, by={by:g})",
        "verdict.lead",
        "plot(verdict)",
        "inputs",
        "verdict",
    )
    write_report(out.stem, notebooks=out.parent, out=out.parent)


@cli.group(invoke_without_command=True)
@click.option("--root", type=PATH, default=Path("runs"), help="Folder of the studies.")
@click.pass_context
def runs(ctx: click.Context, root: Path) -> None:
    """What the store has: a line for each study.

    \b
    Example:
      scaling runs
    """
    if ctx.invoked_subcommand:
        return
    from scaling.show import table
    from scaling.store import Store, ceiling_share, studies

    columns = ("study", "asked", "committed", "local", "diverged", "corpora", "machines", "of ceiling")
    lines = []
    for study in studies(root):
        store = Store(study)
        committed, local = store.rows("run", "committed"), store.rows("run", "local")
        every = committed.vstack(local)
        counts = (
            sum(len(trunk.schedule.budgets) for trunk in study.trunks),
            committed.height,
            local.height,
            (every.unique("run_id", keep="last")["status"] == "diverged").sum(),
            every["corpus_hash"].n_unique(),
            every["device"].n_unique(),
        )
        share = ceiling_share(every)
        lines.append([study.name, *map(str, counts), "" if share is None else f"{share:.0%}"])
    click.echo(table(columns, lines))
    click.echo("Of ceiling: FLOP/s that the runs reached, over those of a plain matrix product; the median.")


@runs.command()
@click.argument("study", type=PATH)
def commit(study: Path) -> None:
    """Compact this machine's rows of a STUDY into its folder, to be committed.

    \b
    Example:
      scaling runs commit runs/quickstart
    """
    from scaling.store import Store
    from scaling.study import read_study

    asked = read_study(study)
    total, mine = Store(asked).commit()
    click.echo(f"{total} runs in {asked.folder}, {mine} of them made here")


@cli.group(invoke_without_command=True)
@click.pass_context
def published(ctx: click.Context) -> None:
    """Open results of others: what there is, under which licence, and whether it is here.

    \b
    Example:
      scaling published
    """
    if ctx.invoked_subcommand:
        return
    from rich.console import Console
    from rich.table import Table

    from scaling.published import catalogue

    listed = catalogue().drop("paper", "units")
    table = Table(box=None, pad_edge=False)
    for column in listed.columns:
        table.add_column(column, no_wrap=column == "name")
    for row in listed.iter_rows():
        table.add_row(*row)
    Console().print(table)
    click.echo("Where it says missing, SCALING_PUBLISHED=DIR names a folder with the tidy tables.")


@published.command()
@click.argument("name")
def fetch(name: str) -> None:
    """Download the files of a published result into the cache, checked against their hashes.

    \b
    Example:
      scaling published fetch chinchilla
    """
    from scaling.published import SOURCES, fetch_published

    click.echo(f"{fetch_published(name)}; open it with open_runs('published:{name}')")
    click.echo(SOURCES[name].units)


def _pairs(texts: tuple[str, ...]) -> dict[str, str]:
    """Names and values of options NAME=VALUE; the name may hold a sign of equality, the value not."""
    for text in texts:
        if "=" not in text:
            raise click.BadParameter(f"{text!r} was given, but it must be NAME=VALUE, e.g. tokens=D")
    return {text.rpartition("=")[0]: text.rpartition("=")[2] for text in texts}


def _assignment(text: str) -> tuple[str, float]:
    name, equals, value = text.rpartition("=")
    try:
        if not equals:
            raise ValueError
        return name, float(value)
    except ValueError:
        raise click.BadParameter(f"{text!r} was given, but it must be NAME=VALUE, e.g. E=1.69") from None


def _counts(text: str) -> list[int]:
    try:
        return [int(one) for one in text.split(",")]
    except ValueError:
        raise click.BadParameter(f"{text!r} was given, but it must be counts, e.g. 8,64,1024") from None


def _range(text: str) -> tuple[str, tuple[float, float]]:
    name, _, ends = text.rpartition("=")
    try:
        low, high = map(float, ends.split(":"))
    except ValueError:
        raise click.BadParameter(
            f"{text!r} was given, but it must be DOMAIN=LOW:HIGH, e.g. code=0:0.3"
        ) from None
    return name, (low, high)


def main() -> None:
    """Entry point of the `scaling` command and of `python -m scaling`."""
    cli(prog_name="scaling")


if __name__ == "__main__":
    sys.exit(main())

"""The command line: the parts of the suite under the names they have in Python.

Exit status: 0 done, 1 something failed on the way, 2 refused with the reason in one line, 130 interrupted.
"""

from __future__ import annotations

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
from scaling.errors import MissingPackage, ScalingError
from scaling.sweeps.launch import WorkersFailed

EXIT_FAILED, EXIT_REFUSED, EXIT_INTERRUPTED = 1, 2, 130


class _Commands(click.Group):
    """Turns the suite's exceptions into one line and an exit status; keeps the order in which commands are written."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ScalingError as problem:
            click.echo(f"scaling: {problem}", err=True)
            ctx.exit(EXIT_FAILED if isinstance(problem, WorkersFailed) else EXIT_REFUSED)
        except (KeyboardInterrupt, click.Abort):
            click.echo("\nscaling: stopped; type the same command to go on where it was.", err=True)
            ctx.exit(EXIT_INTERRUPTED)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def _reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say how a table of somebody's is read."""
    for option, words in (
        ("--units", "The unit of a column, e.g. D=B or loss=perplexity; may be given again."),
        (
            "--columns",
            "The table's own name of a column, and the schema's, e.g. tokens=D; may be given again.",
        ),
    ):
        command = click.option(option, multiple=True, metavar="NAME=VALUE", help=words)(command)
    return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Train many small language models, fit scaling laws to them, and report what the fits can and cannot tell.

    \b
    Example:
      scaling sweep runs/quickstart/study.toml && scaling report quickstart
    """


@cli.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--workers", type=click.IntRange(1), help="Stacks at once.  [default: one for each core, or each GPU]"
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    show_default=True,
    help="Of activations and products; auto is bf16 on a GPU.",
)
@click.option("--no-graph", is_flag=True, help="On a GPU, do not record steps as CUDA graphs.")
@click.option("--compile", is_flag=True, help="Fuse element-wise work by torch.compile; pays for long runs.")
@click.option(
    "--ranks",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Cores or GPUs that train one stack.",
)
@click.option("--here", is_flag=True, help="Train on this machine also what is committed, to compare.")
@click.option("--dry-run", is_flag=True, help="Say what would be trained, and train nothing.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def sweep(
    study: Path,
    workers: int | None,
    device: str,
    precision: str,
    no_graph: bool,
    compile: bool,
    ranks: int,
    here: bool,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Train what a STUDY file asks for and the store does not have yet.

    Interrupt it whenever you like: the same command goes on where it was.

    \b
    Example:
      scaling sweep runs/quickstart/study.toml --dry-run
    """
    from scaling.study import read_study
    from scaling.sweeps.job import Asked
    from scaling.sweeps.launch import sweep as run_sweep
    from scaling.sweeps.plan import plan_sweep

    wanted = read_study(study)
    how = Asked(precision=precision, graph=not no_graph, compile=compile, ranks=ranks)
    common = {"workers": workers, "device": device, "here": here, "progress": not quiet}
    if dry_run:
        click.echo(plan_sweep(wanted, asked=how, **common))
        return
    rows = run_sweep(wanted, **common, **asdict(how))
    click.echo(f"{rows.height} runs of {wanted.name} in the store")


@cli.command()
@click.argument("runs", type=str)
@click.option(
    "--law", "law_name", default="chinchilla", show_default=True, help="A function of scaling.laws."
)
@click.option("--objective", default="huber_log", show_default=True)
@click.option(
    "--bootstrap", type=click.IntRange(0), default=1000, show_default=True, help="Refits; 0 for none."
)
@click.option(
    "--cluster", default="auto", show_default=True, help='What is resampled together: a column, or "rows".'
)
@click.option("--origin", type=click.Choice(["committed", "local"]), help="Only rows that were made there.")
@click.option(
    "--where", metavar="SQL", help='Only rows that fulfil a condition on their columns, e.g. "epochs = 1".'
)
@_reading
@click.option(
    "--fixed", multiple=True, metavar="NAME=VALUE", help="Hold a parameter still; may be given again."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--save", type=click.Path(path_type=Path), help="Write the fit as JSON.")
def fit(
    runs: str,
    law_name: str,
    objective: str,
    bootstrap: int,
    cluster: str,
    origin: str | None,
    where: str | None,
    columns: tuple[str, ...],
    units: tuple[str, ...],
    fixed: tuple[str, ...],
    seed: int,
    save: Path | None,
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

    held = dict(_assignment(text) for text in fixed)
    law = laws.get(law_name)
    table = open_runs(runs, origin=origin, columns=_pairs(columns), units=_pairs(units))
    if where:
        table = select_rows(table, where)
    found = fit_law(
        law, table, objective=objective, bootstrap=bootstrap, cluster=cluster, fixed=held or None, seed=seed
    )
    click.echo(found)
    if save:
        found.save(save)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@_reading
@click.option(
    "--decimal", type=click.Choice([".", ","]), help="The decimal mark, where the numbers leave it open."
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
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), default=Path("reports"), show_default=True)
def report(name: str, out: Path) -> None:
    """Execute a notebook and write it as one HTML file that opens offline.

    NAME is a notebook's stem under notebooks/, or a study that names its notebook.

    \b
    Example:
      scaling report quickstart
    """
    from scaling.reports import report as write_report
    from scaling.study import read_study

    study = Path("runs") / name / "study.toml"
    if not (Path("notebooks") / f"{name}.ipynb").exists() and study.exists():
        name = read_study(study).notebook or name
    write_report(name, out=out)


@cli.command()
@click.argument("inputs")
@click.option(
    "--draws", type=click.IntRange(100), default=200_000, show_default=True, help="Of the Monte Carlo."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--law", "fitted", type=click.Path(path_type=Path), help="A saved fit that says what repeats cost."
)
@click.option("--by", type=float, default=2030.0, show_default=True, help="The year that is asked about.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("reports/wall.html"), show_default=True)
@click.option("--no-report", is_flag=True, help="Print the verdict, and write nothing.")
def wall(
    inputs: str, draws: int, seed: int, fitted: Path | None, by: float, out: Path, no_report: bool
) -> None:
    """When demand for text reaches its stock, from INPUTS: a scenario of the suite or a TOML file.

    Prints the verdict, and writes it with every input and its source as one HTML file, beside it the notebook.

    \b
    Example:
      scaling wall published-2024 --by 2030
    """
    from scaling.fitting import Fit
    from scaling.questions import read_inputs
    from scaling.questions import wall as find_wall

    given, law = read_inputs(inputs), Fit.load(fitted) if fitted else None
    found = find_wall(given, draws=draws, seed=seed, law=law)
    click.echo(found.describe(by))
    if no_report:
        return
    from scaling.questions._wall.inputs import scenarios
    from scaling.reports import report as write_report

    where = inputs if inputs in scenarios() else str(Path(inputs).resolve())
    fit_there = f", law=Fit.load({str(fitted.resolve())!r})" if fitted else ""
    out.parent.mkdir(parents=True, exist_ok=True)
    _write_notebook(
        out.with_suffix(".ipynb"),
        "# When is the data wall?",
        "from scaling.fitting import Fit\nfrom scaling.charts import live\nfrom scaling.charts.wall import data_wall\n"
        "from scaling.questions import read_inputs, wall\n\nlive.enable()\n"
        f"inputs = read_inputs({where!r})\n"
        f"found = wall(inputs, draws={draws}, seed={seed}{fit_there})\nverdict = found.verdict(by={by:g})",
        "verdict.lead",
        f"data_wall(found.sample, found.law, start=inputs.start, by={by:g})",
        "found",
        "verdict.doubts",
        "inputs",
    )
    write_report(out.stem, notebooks=out.parent, out=out.parent)


def _write_notebook(path: Path, title: str, *cells: str) -> None:
    try:
        import nbformat
        from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
    except ImportError:
        raise MissingPackage("nbformat", "notebooks") from None
    nbformat.write(new_notebook(cells=[new_markdown_cell(title), *map(new_code_cell, cells)]), path)


@cli.group(invoke_without_command=True)
@click.option("--root", type=click.Path(path_type=Path), default=Path("runs"), show_default=True)
@click.pass_context
def runs(ctx: click.Context, root: Path) -> None:
    """What the store has: a line for each study.

    \b
    Example:
      scaling runs
    """
    if ctx.invoked_subcommand:
        return
    from rich.console import Console
    from rich.table import Table

    from scaling.store import Store, ceiling_share, studies

    columns = ("study", "asked", "committed", "local", "diverged", "corpora", "machines", "of ceiling")
    table = Table(*columns, box=None, pad_edge=False, padding=(0, 1, 0, 0))  # 80 columns hold it
    table.columns[0].no_wrap = True
    for study in studies(root):
        store = Store(study)
        committed, local = store.rows("run", "committed"), store.rows("run", "local")
        every = committed.vstack(local)
        table.add_row(
            study.name,
            str(sum(len(t.budgets) for t in study.trunks)),
            str(committed.height),
            str(local.height),
            str((every["status"] == "diverged").sum()),
            str(every["corpus_hash"].n_unique()),
            str(every["device"].n_unique()),
            "" if (share := ceiling_share(every)) is None else f"{share:.0%}",
        )
    Console().print(table)
    click.echo("Of ceiling: FLOP/s that the runs reached, over those of a plain matrix product; the median.")


@runs.command()
@click.argument("study", type=click.Path(path_type=Path))
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
            raise click.BadParameter(f"asked for NAME=VALUE, e.g. tokens=D, but got {text!r}")
    return {text.rpartition("=")[0]: text.rpartition("=")[2] for text in texts}


def _assignment(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    try:
        if not equals:
            raise ValueError
        return name, float(value)
    except ValueError:
        raise click.BadParameter(f"asked for NAME=VALUE, e.g. E=1.69, but found {text!r}") from None


def main() -> None:
    """Entry point of the `scaling` command and of `python -m scaling`."""
    cli(prog_name="scaling")


if __name__ == "__main__":
    sys.exit(main())

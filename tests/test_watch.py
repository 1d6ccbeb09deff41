"""A study that is looked at while it is trained: its page follows the rows, and ends with them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import browsing
import pytest
from click.testing import CliRunner
from test_store import STUDY, make_run

from scaling.__main__ import cli
from scaling.records import Evaluation, append_rows
from scaling.reports import watch
from scaling.reports.watching import curves_so_far
from scaling.store import Store
from scaling.study import identity, read_study


@pytest.fixture
def store(tmp_path: Path) -> Store:
    folder = tmp_path / "runs" / "made"
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text('question = "What is made?"\n' + STUDY)
    return Store(read_study(folder))


def point(name: str, step: int, loss: float) -> dict[str, object]:
    row = Evaluation(
        run_id=name,
        step=step,
        tokens=512 * step,
        domain="code",
        loss=loss,
        loss_stderr=0.1,
        loss_bits_per_byte=3.0,
    )
    return {"evaluation": asdict(row)}


def write(store: Store, number: int) -> None:
    """The next thing that a worker writes: two points of a trunk, then its two branches; then the other trunk's."""
    trunk, step = store.study.trunks[number // 3], number % 3
    name = identity.trunk_id(trunk, "c0")
    path = store.local / "rows" / f"{name}.jsonl"
    if step == 0:
        append_rows(path, point(name, 64, 3.0), point(name, 128, 2.8))
        return
    run = make_run(trunk, trunk.schedule.budgets[step - 1])
    append_rows(path, point(run.run_id, run.steps, 2.5), {"run": run.to_json()})


def test_the_page_follows_a_store_that_grows_and_ends_with_it(store, tmp_path, capsys):
    """Where nothing is new between two looks, the page is left as it was."""
    page, seen = tmp_path / "out" / "made-watch.html", []
    written = iter([[0, 1], [], [2, 3, 4, 5]])

    def wait(seconds: float) -> None:
        seen.append(page.read_text())
        for number in next(written):
            write(store, number)

    assert watch(store.study.folder, out=tmp_path / "out", every=2, wait=wait) == page
    assert "No curve has begun" in seen[0] and "<strong>0 of 4 runs</strong>" in seen[0]
    assert "scaling-chart" in seen[1] and "<strong>1 of 4 runs</strong>" in seen[1]
    assert seen[1] == seen[2] and "location.reload" in seen[2]
    assert "all are there" in page.read_text() and "location.reload" not in page.read_text()
    assert capsys.readouterr().out.splitlines()[-1].startswith("made: 4 of 4 runs, file://")


def test_curves_so_far_know_the_size_of_a_trunk_that_has_not_ended(store):
    for number in range(4):
        write(store, number)
    curves = curves_so_far(store.study)
    assert (
        curves.filter(curves["curve"] == identity.trunk_id(store.study.trunks[1], "c0"))["N"].to_list()
        == [6144] * 2
    )
    assert curves["ended"].sum() == 2


def test_the_command_names_what_it_can_be_asked_for(store, tmp_path):
    for number in range(6):
        write(store, number)
    ran = CliRunner().invoke(
        cli, ["report", "--watch", str(store.study.folder), "--out", str(tmp_path / "out")]
    )
    assert ran.exit_code == 0 and "made: 4 of 4 runs" in ran.output
    both = CliRunner().invoke(cli, ["report", "quickstart", "--watch", str(store.study.folder)])
    assert both.exit_code == 2 and "give the name of a notebook, --all or --watch STUDY" in both.output


@pytest.mark.browser
def test_an_open_page_loads_itself_again_when_rows_arrive(store, tmp_path, browser):
    """And is open to everybody when it is done."""
    page = tmp_path / "out" / "made-watch.html"
    write(store, 0)

    def wait(seconds: float) -> None:
        if not opened:
            opened.append(True)
            browser.get(page.as_uri())
            write(store, 1)
            return
        browsing.wait_for(browser, "document.title === 'made: 1 of 4 runs'")
        for number in range(2, 6):
            write(store, number)

    opened: list[bool] = []
    watch(store.study.folder, out=tmp_path / "out", every=0.2, wait=wait)
    browsing.wait_for(browser, "document.title === 'made: 4 of 4 runs'")
    assert browsing.faults(browser, page) == []
    browser.set_window_size(1280, 1000)

"""Locality of abilities: worlds whose answer is known, and studies that lack an arm."""

import numpy as np
import polars as pl
import pytest
from studies.locality import world

from scaling.questions import locality
from scaling.questions._locality.cells import NoArm

BASE = {"base": 0.0, "ceiling": 0.9, "neither": 0.02, "manuals": 0.3, "scripts": 0.6}


@pytest.mark.parametrize(("both", "answer"), [(0.88, "not local"), (0.05, "local"), (0.45, "partly local")])
def test_locality_recovers_the_answer_of_a_world(both, answer):
    verdict = locality(*world({**BASE, "manuals and scripts": both}))
    assert verdict.answer == answer
    assert verdict.numbers["locality, manuals and scripts"].value == pytest.approx(1 - both / 0.9, abs=0.12)
    assert set(verdict.evidence["arms"]["arm"]) == {
        "nothing", "1 example", "labels of others", "8 documents", "its own labels", "best of 4", "preferences",
    }  # fmt: skip


def test_locality_is_not_defined_where_labels_teach_nothing():
    """The ceiling must beat the base by two standard errors."""
    same = dict.fromkeys((*BASE, "manuals and scripts"), 0.1)
    verdict = locality(*world(same))
    assert verdict.answer == "cannot tell" and not verdict.identifiable
    assert "not defined" in verdict.sentence
    assert "of every arm, added to `seed` in the study's file" in str(verdict)


def test_locality_intervals_cover_the_truth():
    """Over 60 worlds of five seeds, in four pre-trainings and three sizes each; 80 % are asked."""
    inside, slopes = [], []
    for seed in range(60):
        verdict = locality(*world({**BASE, "manuals and scripts": 0.75}, seed=1000 + seed))
        index = verdict.evidence["index"]
        truth = {name: 1 - share / 0.9 for name, share in {**BASE, "manuals and scripts": 0.75}.items()}
        inside += [
            row["low"] <= truth[row["pretrained"]] <= row["high"]
            for row in index.filter(pl.col("pretrained") != "neither").iter_rows(named=True)
        ]
        slopes += [row["low"] <= 0 <= row["high"] for row in verdict.evidence["slopes"].iter_rows(named=True)]
    assert 0.72 < np.mean(inside) < 0.88
    assert np.mean(slopes) > 0.72


def test_locality_names_the_arm_that_is_missing():
    runs, measured = world({**BASE, "manuals and scripts": 0.5}, seeds=2, sizes=(1000,))
    only = runs.filter(~pl.col("blend").str.contains("new"))
    with pytest.raises(
        NoArm, match=r"no run is of the arm 'its own labels'; there are 1 example.*runs/locality"
    ):
        locality(only, measured)

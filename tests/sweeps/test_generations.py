"""Generations of models: who reads which pages, from the sweep of the smoke study to its verdict."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import scaling
from scaling.artifacts import load_weights
from scaling.corpora.synthetic.generated import NotExecutable, page_words
from scaling.errors import BadValue
from scaling.questions import synthetic
from scaling.study import read_study
from scaling.study.identity import parent_run, trunk_id
from scaling.train.model import Forward
from scaling.train.post.generation import write_pages

SMOKE = Path(__file__).parents[2] / "runs" / "synthetic" / "smoke.toml"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Trained here, all generations."""
    folder = tmp_path_factory.mktemp("generations") / "runs" / "synthetic"
    folder.mkdir(parents=True)
    shutil.copy(SMOKE, folder / "study.toml")
    scaling.sweep(folder, workers=1, device="cpu", progress=False)
    return read_study(folder)


@pytest.fixture(scope="module")
def texts(study):
    """What each generation read, by seed, generation and arm: its pages."""
    corpus, made = study.build_corpus(progress=False), {}
    pages = study.folder.parents[1] / ".store" / "synthetic" / "pages"
    for trunk in study.trunks:
        row, one = trunk.model.context, pages / trunk_id(trunk, corpus.corpus_hash)
        if trunk.generation:
            text = np.fromfile(one / "english.train.bin", np.uint8)[:-1].reshape(-1, row)
            made[trunk.seed, trunk.generation, trunk.generated] = text
    return made


def test_every_generation_reads_what_its_arm_says(study, texts):
    corpus, (writer,) = study.build_corpus(progress=False), study.corpus.writers.values()
    real = corpus.tokens("english")[:-1].reshape(-1, study.trunks[0].model.context)
    known = {tuple(page) for page in real.tolist()}
    for (_, number, arm), text in texts.items():
        first = [tuple(page) in known for page in text.tolist()]
        if arm == "replace":
            assert len(text) == 32
        elif arm == "accumulate":
            assert len(text) == 32 * (1 + number)
            assert all(first[:32]) and sum(first) < len(text)
        else:
            assert all(writer.right(page_words(corpus, page)) for page in text)  # the real ones are, too
    for seed in (0, 1):
        assert len({texts[seed, 1, arm].tobytes() for arm in ("replace", "accumulate", "verified")}) == 3
        one, two = (texts[seed, number, "accumulate"] for number in (1, 2))
        assert (two[: len(one)] == one).all()
        assert (texts[seed, 1, "accumulate"][32:] == texts[seed, 1, "replace"]).all()


def test_pages_are_those_of_the_parents_own_weights_and_hashed(study, texts):
    """Written again, alone and now, they are the same."""
    corpus = study.build_corpus(progress=False)
    runs = scaling.open_runs(study)
    trunk = next(t for t in study.trunks if (t.generation, t.generated, t.seed) == (1, "accumulate", 1))
    run = parent_run(trunk, corpus.corpus_hash)
    assert run is not None
    kept = load_weights(study, run)
    weights = {name: torch.from_numpy(m)[None] for name, m in kept.matrices.items()}
    pages = write_pages(Forward(kept.shape, torch.device("cpu")), weights, 128, int(run, 16) % 2**31)[0]
    assert (pages[:32] == texts[1, 1, "replace"]).all() or len(
        pages
    ) == 128  # but for those about tested programs
    row = runs.filter(pl.col("generation") == 1, pl.col("generated") == "accumulate", pl.col("seed") == 1)
    (note,) = row["note"]
    assert note.startswith("read 64 pages in all, accumulate, text ")
    assert (row["parent_run"][0], row["unique_tokens"][0], row["epochs"][0]) == (run, 64 * 25, 7.5)


def test_the_smoke_study_goes_from_sweep_to_verdict(study):
    runs, measured = scaling.open_runs(study), scaling.open_measurements(study)
    assert runs["status"].unique().to_list() == ["done"]
    said = synthetic(runs, measured)
    assert set(said.evidence["generations"]["arm"]) == {"replace", "accumulate", "verified"}
    assert set(said.evidence["written"]["what"]) == {"whole", "right", "different"}
    assert said.reach is not None
    assert synthetic(runs, measured, measure="answer_loss").answer in said.answers


def test_generations_name_what_cannot_be_read(tmp_path):
    text = SMOKE.read_text()

    def refused(old: str, new: str):
        (tmp_path / "study.toml").write_text(text.replace(old, new))
        return read_study(tmp_path)

    with pytest.raises(NotExecutable, match=r"right pages of 'english', but 'programs' have no executor"):
        refused("traced = 1", 'traced = 1\nplacebo = "random"')
    with pytest.raises(
        BadValue, match=r"unique = \(\), but it must be a budget of documents of the one domain"
    ):
        refused("unique = { english = 800 }", "")
    with pytest.raises(
        BadValue, match=r"generated = 'all', but it must be replace or accumulate or verified"
    ):
        refused('"accumulate", "verified"', '"all"')

"""Programs spelled beside the text of files, and models that go on to them, from the smoke study to its verdict."""

from pathlib import Path

import numpy as np
import pytest

import scaling
from scaling.corpora.synthetic.documents import SCORED, BadPage
from scaling.errors import BadValue
from scaling.questions import reasoning
from scaling.study import read_study

SMOKE = Path(__file__).parents[2] / "runs" / "learning-to-reason" / "smoke.toml"
TEXT = {
    "one.py": '"""What it is for."""\n\nvalue = [number for number in range(10)]\n',
    "two.md": "Plain words.\n",
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The smoke study on a few files."""
    folder = tmp_path_factory.mktemp("first") / "runs" / "reason"
    text = folder / "text"
    text.mkdir(parents=True)
    for i in range(120):
        for name, said in TEXT.items():
            (text / f"{i}-{name}").write_text(
                said.replace("number", f"number_{i}").replace("Plain", f"Plain {i}") * 9
            )
    (folder / "study.toml").write_text(SMOKE.read_text().replace("../../../scaling", "text"))
    return read_study(folder)


def test_documents_are_spelled_beside_text_with_their_answers_marked(study):
    corpus, (writer,) = study.build_corpus(progress=False), study.corpus.writers.values()
    assert corpus.domains == ("code", "prose", "shuffled code", "english")
    rows = corpus.tokens("english")[:-1].reshape(-1, 64)
    marks = corpus.tokens("english", SCORED["train"])[:-1].reshape(-1, 64).astype(bool)
    for page, row, scored in zip(writer.pages("train", 64), rows, marks, strict=True):
        assert bytes(row[1:]).rstrip(b"\0").decode() == " ".join(page.words)
        assert bytes(row[scored]).decode() == "".join(page.words[place] for place in page.scored)
    assert np.unique(rows[:, 0]).tolist() == [0]
    assert {trunk.model.context for trunk in study.trunks} == {64}


def test_the_smoke_study_goes_from_sweep_to_verdict(study):
    scaling.sweep(study, workers=1, device="cpu", progress=False)
    runs, measured = scaling.open_runs(study), scaling.open_measurements(study)
    assert len(runs) == 6 + 12 + 4
    assert set(measured["group"]) == {"english"}
    said = reasoning(runs, measured, placebos=study.corpus.placebo_of)
    curves = said.evidence["curves"]
    assert set(curves["read"]) == {"nothing", "prose", "code and prose", "prose and shuffled code"}
    assert set(said.evidence["gains"]["over"]) == {"prose", "prose and shuffled code"}


def test_spelled_documents_name_what_is_missing(study, tmp_path):
    text = (study.folder / "study.toml").read_text()

    def refused(old: str, new: str):
        (tmp_path / "study.toml").write_text(text.replace(old, new))
        return read_study(tmp_path)

    with pytest.raises(BadValue, match=r"document_bytes = 0, but it must be given with .*train_documents"):
        refused("document_bytes = 64", "")
    narrow = refused("document_bytes = 64", "document_bytes = 32")
    (tmp_path / "text").symlink_to(study.folder / "text")
    with pytest.raises(BadPage, match=r"'english' has \d\d bytes, and a row room for 31"):
        narrow.build_corpus(progress=False)

"""Manual pages become the text that a reader sees, programs are held out whole, and flags are asked about."""

import gzip
import json
import re
import shutil
import subprocess
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from scaling import open_measurements, sweep
from scaling.corpora.bpe import encode_corpus, texts
from scaling.corpora.files import MissingFolder
from scaling.corpora.flags import CHOICES, flag_questions, options_of
from scaling.corpora.items import ItemSource, NoFlags, read_items
from scaling.corpora.manuals import NoManuals, is_program_held_out, program_of
from scaling.corpora.source import CorpusSource
from scaling.corpora.text import build_corpus
from scaling.corpora.troff import plain
from scaling.errors import BadValue
from scaling.questions import flags_known
from scaling.study import read_study

MAN = r"""'\" t
.\" a comment, and what a converter writes above every page
.ie \n(.g .ds Aq \(aq
.el       .ds Aq '
.if n .ad l
.de Sp
.if t .sp .5v
..
.TH GRIND 1 "today" "Mill 1.2"
.SH NAME
grind \- turn grain into flour
.SH SYNOPSIS
.B grind
.RI [ option "] ... " file
.SH DESCRIPTION
A \fBlong\fP line that is
broken in two, with \(lqquotes\(rq, an e\('acute, C:\e and don\*(Aqt.
.if t \{\
.B never seen
.\}
.ie n \{\
Seen on a terminal.
.\}
.el \{\
Seen on paper.
.\}
.SS "Two words"
.TP
.BR \-c ", " \-\-coarse =\fISIZE\fR
Leave grains of this size.

A second paragraph of it.
.TP
.B \-\-quiet
.RS
Say nothing.
.RE
.IP "\-n" 4
Count the stones.
.PP
Back at the margin.
.nf
  grind  -c 3   wheat
.fi
.TS
tab(@);
l l.
wheat	white
rye	dark
.TE
.SM AND
.BI a b \ c
"""
MDOC = r""".Dd today
.Dt SIFT 1
.Os
.Sh NAME
.Nm sift
.Nd let fine flour through
.Sh SYNOPSIS
.Nm
.Op Fl qv
.Op Fl m Ar mesh
.Ar
.Sh DESCRIPTION
.Nm
takes what
.Xr grind 1 ,
leaves (see
.Pa /etc/sift ) .
.Bl -tag -width Ds
.It Fl m , Fl Fl mesh Ns = Ns Ar size
Holes of this
.Dq size .
.It Fl q
Say nothing.
.El
"""


def test_plain_says_what_a_reader_of_man_sees():
    assert plain(MAN).splitlines() == [
        "NAME", "", "grind - turn grain into flour", "", "SYNOPSIS", "", "grind [option] ... file", "", "DESCRIPTION",
        "", 'A long line that is broken in two, with "quotes", an eacute, C:\\ and don\'t. Seen on a terminal.', "",
        "Two words", "", "-c, --coarse=SIZE", "    Leave grains of this size.", "", "    A second paragraph of it.",
        "--quiet", "    Say nothing.", "-n", "    Count the stones.", "", "Back at the margin.",
        "  grind  -c 3   wheat", "", "wheat  white", "rye  dark", "", "AND ab c",
    ]  # fmt: skip


def test_plain_says_what_a_reader_of_mdoc_sees():
    assert plain(MDOC).splitlines() == [
        "NAME", "", "sift - let fine flour through", "", "SYNOPSIS", "", "sift [-qv] [-m mesh] file ...", "",
        "DESCRIPTION", "", "sift takes what grind(1), leaves (see /etc/sift).", "", "-m, --mesh=size",
        '    Holes of this "size".', "-q", "    Say nothing.",
    ]  # fmt: skip


def test_plain_has_no_text_of_a_page_that_names_another_or_says_nothing():
    assert plain(".so man1/grind.1\n") == plain("") == plain('.\\" nothing\n.TH A 1\n') == ""


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
@pytest.mark.parametrize("page", [MAN, MDOC], ids=["man", "mdoc"])
def test_plain_matches_the_words_of_groff(page):
    """But for the running head and foot of a page, dashes, and an accent that ASCII has not."""
    page = page.replace(r"\('", "")
    set_in = ["groff", "-Tascii", "-t", "-mandoc", "-P-c", "-rLL=500n"]
    out = re.sub(
        ".\x08", "", subprocess.run(set_in, input=page, capture_output=True, text=True, check=True).stdout
    )
    body = out.partition("NAME")[2].rpartition("\n\n")[0]
    theirs, ours = (
        Counter(re.findall(r"-*\w[\w=-]*", text)) for text in (body, plain(page).partition("NAME")[2])
    )
    assert ours == theirs


# --- a machine --------------------------------------------------------------------------------------

WORDS = ("wheat", "barley", "millet", "sorghum", "spelt", "oats", "maize", "rice", "rye", "teff")


def page(name):
    """Ten flags of a letter and of a word, each with a description of its own."""
    flags = "".join(
        f'.TP\n.BR \\-{chr(97 + i)} ", " \\-\\-{word}\nGrind the {word} that {name} was given. See below.\n'
        for i, word in enumerate(WORDS)
    )
    return f".TH {name} 1\n.SH NAME\n{name} \\- mill of {name}\n.SH OPTIONS\n{flags}"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Mills, a program with parts, a page in German, a page of another section, and scripts."""
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "one.py").write_text('"""A module of one line."""\nanswer = 42\n')
    monkeypatch.setattr("scaling.corpora.files.sysconfig.get_path", lambda name: str(tmp_path / "library"))
    folder = tmp_path / "share" / "man" / "man1"
    folder.mkdir(parents=True)
    for number in range(24):
        (folder / f"mill{number}.1.gz").write_bytes(gzip.compress(page(f"mill{number}").encode()))
    for name in ("git", "git-add", "git-commit"):
        (folder / f"{name}.1").write_text(page(name))
    (folder / "alias.1.gz").symlink_to("mill1.1.gz")
    (folder / "broken.1.gz").write_bytes(b"no gzip")
    for other in ("de/man1/mahlen.1", "man3/printf.3", "man1/README"):
        path = folder.parent / other
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page("unseen"))
    for name, text in {
        "run": "#!/bin/sh\nmill1 -a wheat\n",
        "git-up.sh": "#!/usr/bin/env bash\ngit add .\n",
    }.items():
        (tmp_path / "share" / name).write_text(text)
        (tmp_path / "share" / name).chmod(0o755)
    (tmp_path / "share" / "notes.sh").write_text("not a script")
    return tmp_path


def source_of(machine, **changed):
    return CorpusSource(source="manuals", paths=(str(machine / "share"),), **changed)


def test_programs_are_held_out_whole_and_counted(machine):
    corpus = build_corpus(source_of(machine), progress=False)
    titles = {
        split: [t.partition("(1)")[0] for t in texts(corpus, "manuals", split)]
        for split in ("train", "heldout")
    }
    assert sorted(titles["train"] + titles["heldout"]) == sorted(
        [*(f"mill{n}" for n in range(24)), "git", "git-add", "git-commit"]
    )
    names = {"git", *(f"mill{n}" for n in range(24))}
    for split, pages in titles.items():
        assert pages and {is_program_held_out(program_of(name, names)) for name in pages} == {
            split == "heldout"
        }
    scripts = [t for split in ("train", "heldout") for t in texts(corpus, "scripts", split)]
    assert sorted(t.split()[0] for t in scripts) == ["#!/bin/sh", "#!/usr/bin/env"]
    assert corpus.left_out["not readable as text"] == 1
    assert corpus.domains == ("code", "prose", "manuals", "scripts") and corpus.bytes["code"] > 0


@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("git-add", "git"),
        ("git", "git"),
        ("git-up.sh", "git"),
        ("apt-get", "apt-get"),
        ("a.b-c", "a.b"),
        ("x_y", "x"),
    ],
)
def test_a_page_belongs_to_the_program_that_has_one_of_its_own(name, program):
    assert program_of(name, {"git", "a.b", "x"}) == program


def test_a_corpus_of_manuals_has_another_hash_with_another_page_and_not_with_another_place(machine, tmp_path):
    first = build_corpus(source_of(machine), progress=False)
    moved = shutil.copytree(machine / "share", tmp_path / "moved" / "share", symlinks=True)
    assert build_corpus(source_of(moved.parent), progress=False).corpus_hash == first.corpus_hash
    one = build_corpus(source_of(machine, pages_per_program=1), progress=False)
    assert one.left_out["more pages of one program"] == 2
    (machine / "share" / "man" / "man1" / "new.1").write_text(page("new"))
    assert (
        len(
            {first.corpus_hash, one.corpus_hash, build_corpus(source_of(machine), progress=False).corpus_hash}
        )
        == 3
    )


def test_a_machine_without_manuals_names_how_to_get_them(machine, tmp_path):
    with pytest.raises(NoManuals, match=r"section 6 or 7, but there are none under .*Ubuntu: unminimize"):
        build_corpus(source_of(machine, sections=("6", "7")), progress=False)
    with pytest.raises(MissingFolder, match="no such file or folder"):
        build_corpus(source_of(tmp_path / "gone"), progress=False)
    with pytest.raises(BadValue, match="sections = "):
        source_of(machine, sections=())
    with pytest.raises(BadValue, match="left out where source = 'installed'"):
        CorpusSource(sections=("1",))


# --- questions --------------------------------------------------------------------------------------


def test_options_are_flags_with_the_first_sentence_of_what_is_said_of_them():
    options = [(o.flag, o.description) for o in options_of(plain(MAN))]
    assert options == [
        ("-c", "Leave grains of this size."), ("--coarse", "Leave grains of this size."),
    ]  # the others are described in fewer than four words  # fmt: skip


def test_flags_are_asked_in_two_ways_against_seven_others_of_their_manual():
    asked = flag_questions(["mill7(1)\n\n" + plain(page("mill7"))], "known")
    assert {group: len(each) for group, each in asked.items()} == dict.fromkeys(
        ["known manual short", "known script short", "known manual long", "known script long"], 8
    )
    for each in asked.values():
        for one in each:
            assert len(set(one["choices"])) == CHOICES and one["choices"].count(one["answer"]) == 1
    one = next(o for o in asked["known script long"] if "barley" in str(o["answer"]))
    assert (one["prompt"], one["answer"]) == ("# Grind the barley that mill7 was given.\nmill7", " --barley")
    one = next(o for o in asked["known manual short"] if o["answer"].startswith("\n-b"))
    assert one["prompt"] == "mill7(1)\n\nOPTIONS\n"
    assert one["answer"] == "\n-b\n    Grind the barley that mill7 was given."


def test_questions_are_drawn_of_the_text_that_models_read_in_bytes_or_learned_tokens(machine):
    corpus = build_corpus(source_of(machine), progress=False)
    learned = encode_corpus(corpus, 300, progress=False)
    drawn = read_items(ItemSource(flags=5), machine, corpus, 128)
    again = read_items(ItemSource(flags=5), machine, learned, 128)
    counts = Counter(item.group for item in drawn.each)
    assert len(counts) == 8 and set(counts.values()) == {5}
    assert [item.group for item in drawn.each] == [item.group for item in again.each]
    held_out = [bytes(i.prompt).decode() for i in drawn.each if i.group == "held out script long"]
    assert all(is_program_held_out(prompt.rpartition("\n")[2]) for prompt in held_out)
    with pytest.raises(NoFlags, match="fits into 8 tokens"):
        read_items(ItemSource(flags=5), machine, corpus, 8)


def test_flags_are_asked_of_manuals_alone_and_items_have_one_source(tmp_path):
    study = '[items]\nflags = 8\n[corpus]\nsource = "{}"\n[[grid]]\nwidth = 16\nbudgets = ["1Ki"]\n'
    (tmp_path / "study.toml").write_text(study.format("installed"))
    with pytest.raises(BadValue, match='left out where source is not "manuals"'):
        read_study(tmp_path)
    (tmp_path / "study.toml").write_text(study.format("manuals"))
    assert read_study(tmp_path).corpus.domains[-2:] == ("manuals", "scripts")
    for given in ({}, {"path": "a", "flags": 2}):
        with pytest.raises(BadValue, match="or flags in its place"):
            ItemSource(**given)
    with pytest.raises(BadValue, match=r"flags = .*a whole number"):
        ItemSource(flags=date(2020, 1, 1))  # type: ignore[arg-type]  # what a file of settings may hold
    assert json.dumps(read_study(tmp_path).items.flags) == "8"


def test_the_smoke_study_of_manuals_runs_from_text_to_what_is_known(machine, tmp_path):
    """On the invented machine, whose pages are of section 1."""
    text = (Path(__file__).parents[2] / "runs" / "manuals" / "smoke.toml").read_text()
    assert 'sections = ["8"]' in text
    (tmp_path / "study.toml").write_text(text.replace('sections = ["8"]', 'paths = ["share"]'))
    for number in range(60):
        prose = f'"""Mill {number}.\n\n{"Water turns the wheel. " * (number + 20)}\n"""\n'
        (tmp_path / "library" / f"prose{number}.py").write_text(prose)
    runs = sweep(tmp_path, workers=1, device="cpu", progress=False)
    table = flags_known(runs, open_measurements(tmp_path))
    assert len(table) == 2 * 8 and set(table["seeds"]) == {2} and set(table["questions"]) == {4}
    assert table["share"].is_between(0, 1).all()

from collections import Counter

import pytest

from scaling.corpora import CorpusSource, Placebo, build_corpus
from scaling.corpora.source import PLACEBO_KINDS, PlaceboWithoutSource
from scaling.corpora.write import documents
from scaling.errors import BadValue
from scaling.study import read_study

PLACEBOS = tuple(Placebo(name=f"{kind} code", of="code", kind=kind) for kind in PLACEBO_KINDS)


def built(library, **keys):
    return build_corpus(CorpusSource(source="folder", path=str(library), **keys), progress=False)


def pieces(text):
    return Counter("".join(c if c.isalnum() or c == "_" else f" {c} " for c in text).split())


def test_a_shuffled_document_has_its_words_in_another_order_and_held_out_text_too(library):
    plain, corpus = built(library), built(library, placebos=PLACEBOS)
    assert corpus.domains == ("code", "prose", "shuffled code", "reversed code", "noise code")
    assert corpus.placebos["shuffled code"] == {"of": "code", "kind": "shuffled"}
    for split in ("train", "heldout"):
        assert (corpus.tokens("code", split) == plain.tokens("code", split)).all()
        originals = list(documents(corpus.tokens("code", split)))
        for kind in ("shuffled", "reversed"):
            made = list(documents(corpus.tokens(f"{kind} code", split)))
            assert [pieces(text) for text in made] == [pieces(text) for text in originals]
            assert all(a != b + "\n" for a, b in zip(made, originals, strict=True) if len(b) > 200)
        backwards, forwards = made[-1], originals[-1]  # the loop ends with the reversed ones
        assert backwards.split()[0] in forwards.split()[-1]


def test_noise_has_the_frequencies_of_its_source_and_draws_each_document_anew(library):
    corpus = built(library, placebos=PLACEBOS)
    texts = ["\n".join(documents(corpus.tokens(domain))) for domain in ("code", "noise code")]
    source, noise = map(pieces, texts)
    assert noise.keys() <= source.keys()
    for word, count in source.most_common(5):
        assert noise[word] == pytest.approx(count, rel=0.2)
    assert texts[0] != texts[1]


def test_a_placebo_is_invariant_to_the_other_documents_and_domains(library):
    shuffled = PLACEBOS[:1]
    before = set(documents(built(library, placebos=shuffled).tokens("shuffled code")))
    (library / "new.py").write_text("answer = 42\n" * 30)
    after = set(documents(built(library, placebos=PLACEBOS).tokens("shuffled code")))
    assert before < after and len(after) == len(before) + 1


def test_endings_make_a_domain_and_leave_the_others_as_they_were(library):
    plain = built(library)
    for number in range(60):
        (library / f"{number}.h").write_text(f"int field_{number}; // a field\n" * 20)
    corpus = built(library, endings=(("headers", (".h",)),))
    assert corpus.domains == ("code", "prose", "headers")
    assert (corpus.tokens("code") == plain.tokens("code")).all()
    assert b"int field_59; // a field" in bytes(corpus.tokens("headers")) + bytes(
        corpus.tokens("headers", "heldout")
    )


def test_a_vocabulary_is_invariant_to_placebos(library):
    pytest.importorskip("tokenizers")
    plain, corpus = (built(library, vocabulary=300, **keys) for keys in ({}, {"placebos": PLACEBOS[:1]}))
    assert (corpus.tokens("code") == plain.tokens("code")).all()
    assert corpus.placebos and corpus.bytes_per_token["shuffled code"] > 1


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ('"s" = { of = "cod", kind = "shuffled" }', PlaceboWithoutSource, "Did you mean 'code'"),
        ('"s" = { of = "s", kind = "noise" }', PlaceboWithoutSource, "the corpus has 'code', 'prose'"),
        ('"s" = { of = "", kind = "noise" }', BadValue, "the domain it is made of"),
        ('"s" = { of = "code", kind = "mixed" }', BadValue, "'shuffled' or 'reversed' or 'noise'"),
        ('"s" = { kind = "noise" }', BadValue, "a table for each placebo"),
        ('prose = { of = "code", kind = "noise" }', BadValue, "named otherwise than the domains code, prose"),
    ],
)
def test_study_names_a_placebo_that_cannot_be(tmp_path, text, error, words):
    corpus = f"[corpus]\nplacebos = {{ {text} }}\n"
    (tmp_path / "study.toml").write_text(corpus + '[[grid]]\nwidth = 16\nbudgets = ["16Ki"]\n')
    with pytest.raises(error, match=words):
        read_study(tmp_path)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ('endings = { code = [".h"] }', "domains beside code and prose"),
        ('endings = { a = [".h"], b = [".h"] }', "each in one list only"),
        ('endings = { a = [".py"] }', "none of .py"),
        ('endings = { a = ["h"] }', "endings such as"),
        ('endings = [".h"]', "a table of lists"),
        ('source = "jsonl"\npath = "x"\nendings = { a = [".h"] }', "left out where source = 'jsonl'"),
        ('source = "language"\nplacebos = { s = { of = "a", kind = "noise" } }', "where source = 'language'"),
    ],
)
def test_study_names_endings_that_cannot_be(tmp_path, keys, words):
    (tmp_path / "study.toml").write_text(f'[corpus]\n{keys}\n[[grid]]\nwidth = 16\nbudgets = ["16Ki"]\n')
    with pytest.raises(BadValue, match=words):
        read_study(tmp_path)


def test_a_table_names_a_placebo_whose_source_turns_out_not_to_be_there(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"text": "a b c", "lang": "en"}\n' * 3)
    keys = {"path": str(tmp_path / "rows.jsonl"), "domain_column": "lang"}
    source = CorpusSource(source="jsonl", **keys, placebos=(Placebo(name="s", of="de", kind="noise"),))
    with pytest.raises(PlaceboWithoutSource, match="the corpus has 'en'"):
        build_corpus(source, progress=False)

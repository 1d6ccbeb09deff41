import pytest

from scaling.corpora.languages import associative, nested
from scaling.corpora.source import CorpusSource, UnknownSource
from scaling.corpora.text import build_corpus
from scaling.errors import BadValue, UnknownKey
from scaling.study import Study, Trunk, read_study
from scaling.study.spec import VocabularyMismatch

LANGUAGES = """
[corpus]
source = "language"
train_tokens = "32Ki"
heldout_tokens = "8Ki"
[corpus.languages.brackets]
kind = "nested"
kinds = 2
depth = 3
[corpus.languages.facts]
kind = "associative"
keys = 30
values = 10
[defaults]
budgets = ["16Ki"]
[[grid]]
width = 16
"""


def study(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / "study.toml").write_text(text)
    return read_study(folder)


def corpus_section(text):
    return "[corpus]\n" + text + '\n[[grid]]\nwidth = 16\nbudgets = ["16Ki"]\n'


def test_languages_become_the_domains_of_a_study(tmp_path):
    asked = study(tmp_path / "mine", LANGUAGES)
    assert asked.trunks[0].data.blend == (("brackets", 0.5), ("facts", 0.5))
    assert asked.trunks[0].model.vocabulary == nested(kinds=2, depth=3).vocabulary == 52
    corpus = build_corpus(asked.source, progress=False)
    assert corpus.domains == ("brackets", "facts")
    assert corpus.bytes == {"brackets": 32768, "facts": 32768}
    assert len(corpus.tokens("facts", "heldout")) == 8192
    assert (corpus.tokens("facts")[:8192] != corpus.tokens("facts", "heldout")).any()
    assert corpus.tokens("facts").max() < associative(keys=30, values=10).vocabulary


def test_text_of_a_language_is_invariant_to_the_others_and_changes_with_its_name(tmp_path):
    both = build_corpus(study(tmp_path / "a", LANGUAGES).source, progress=False)
    alone = LANGUAGES.replace('facts]\nkind = "associative"\nkeys = 30\nvalues = 10', "") + "\n"
    alone = alone.replace("[corpus.languages.\n", "")
    brackets = build_corpus(study(tmp_path / "b", alone).source, progress=False)
    assert brackets.domains == ("brackets",)
    assert (brackets.tokens("brackets") == both.tokens("brackets")).all()
    renamed = build_corpus(study(tmp_path / "c", alone.replace("brackets", "other")).source, progress=False)
    assert (renamed.tokens("other") != both.tokens("brackets")).any()


def test_a_blend_is_taken_from_the_corpus_then_the_defaults_then_even(tmp_path):
    asked = LANGUAGES.replace("[defaults]", "[defaults]\nblend = { facts = 1.0 }")
    assert study(tmp_path / "a", asked).trunks[0].data.blend == (("facts", 1.0),)
    asked = asked.replace("[corpus]", "[corpus]\nblend = { brackets = 1.0 }")
    assert study(tmp_path / "b", asked).trunks[0].data.blend == (("brackets", 1.0),)
    table = corpus_section('source = "jsonl"\npath = "x"')
    assert study(tmp_path / "c", table).trunks[0].data.blend == (("text", 1.0),)


def test_study_names_a_vocabulary_that_is_not_the_corpus_s(tmp_path):
    with pytest.raises(VocabularyMismatch, match="a model of 300 tokens, but the corpus is written in 52"):
        study(tmp_path / "mine", LANGUAGES.replace("width = 16", "width = 16\nvocabulary = 300"))
    trunk = Trunk.of(width=16, budgets=(1024,))
    source = CorpusSource(vocabulary=1000)
    with pytest.raises(VocabularyMismatch, match="Give vocabulary under \\[corpus\\] only"):
        Study(folder=tmp_path, question="", notebook=None, corpus=source, trunks=(trunk,))


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ('source = "parket"', UnknownSource, "Did you mean 'parquet'"),
        (
            "source = 3",
            UnknownSource,
            "Known: installed, folder, files, manuals, jsonl, parquet, huggingface, language",
        ),
        ("source = [0, 0, 0]", UnknownSource, "source \\[0, 0, 0], which there is not"),
        (
            "languages = { a = { kind = [] } }",
            BadValue,
            "corpus.languages.a.kind = \\[], but it must be text",
        ),
        ('languages = { a = { kind = "markov", states = [3] } }', BadValue, "corpus.states = \\[3]"),
        (
            'languages = { a = { kind = "markov", seed = -1 } }',
            BadValue,
            "seed = -1, but it must be at least 0",
        ),
        ('source = "jsonl"', BadValue, "corpus.path = None, but it must be given where source = 'jsonl'"),
        ('source = "huggingface"', BadValue, "given where source = 'huggingface'"),
        ('source = "language"', BadValue, "given where source = 'language'"),
        ('path = "x"', BadValue, "left out where source = 'installed'"),
        ('source = "jsonl"\npath = "x"\nsplit = "test"', BadValue, "left out where source = 'jsonl'"),
        (
            'source = "jsonl"\npath = "x"\ntext_column = 3',
            BadValue,
            "corpus.text_column = 3, but it must be text",
        ),
        ('source = "jsonl"\npath = ""', BadValue, "corpus.path = '', but it must be text"),
        ("vocabulary = 100", BadValue, "256 \\(bytes\\), or from 257 to 65536"),
        ('vocabulary = "many"', BadValue, "a whole number of tokens"),
        ('packages = "numpy"', BadValue, "a list of package names"),
        (
            'source = "files"\npaths = "a.txt"',
            BadValue,
            "corpus.paths = 'a.txt', but it must be a list of files and",
        ),
        ('source = "files"\npaths = [""]', BadValue, "names of files and folders"),
        ('source = "files"', BadValue, "given where source = 'files'"),
        ('paths = ["x"]', BadValue, "left out where source = 'installed'"),
        ("languages = 3", BadValue, "a table for each domain"),
        ("languages = { a = {} }", BadValue, "with its kind"),
        ('languages = { a = { kind = "runic" } }', BadValue, "'markov' or 'nested' or 'associative'"),
        ('languages = { a = { kind = "markov", state = 3 } }', UnknownKey, "has the key 'state'"),
        ('languages = { a = { kind = "markov", states = "3" } }', BadValue, "corpus.states = '3'"),
        ("pakages = []", UnknownKey, "Did you mean 'packages'"),
    ],
)
def test_study_names_a_corpus_that_cannot_be(tmp_path, text, error, words):
    with pytest.raises(error, match=words):
        study(tmp_path / "mine", corpus_section(text))

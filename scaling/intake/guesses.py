"""What columns are in the run schema, by the look of their names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from scaling.intake.convert import bare_name
from scaling.intake.trackers import is_held_out

_LIKELY = {
    "N": "n params parameters n_params num_params n_parameters num_parameters model_size model_params size "
    "non_embedding_params params_non_embedding param_count",
    "D": "d tokens n_tokens num_tokens train_tokens training_tokens total_tokens tokens_seen consumed_tokens "
    "num_input_tokens_seen dataset_size",
    "C": "c flops flop compute train_flops training_flops total_flops total_flos train_compute",
    "loss": "bpb bits_per_byte ppl perplexity final_loss nll cross_entropy test_ce",
}
_KNOWN = {word: column for column, words in _LIKELY.items() for word in words.split()}
_SYMBOL = re.compile(r"(.+)_([ndc])")  # params_N
_UNIT = re.compile(r"(.+)_(k|m|mn|b|bn|t|tn|thousands?|millions?|billions?|trillions?)")  # tokens_seen_T
_UNITS = {"k": "k", "th": "k", "m": "M", "b": "B", "t": "T"}


def guessed(names: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Columns and units as `read_runs` takes them, one for each column of the schema that is not among the names."""
    names = list(names)
    columns: dict[str, str] = {}
    units: dict[str, str] = {}
    for name in names:
        column, unit = ("loss", None) if is_held_out(name) else _guess(name)
        if column and column not in names and column not in columns.values():
            columns[name] = column
            units |= {column: unit} if unit else {}
    return columns, units


def _guess(name: str) -> tuple[str | None, str | None]:
    """A column of the schema, and the unit that the name says."""
    word = re.sub(r"\W+", "_", re.split(r"[/.]", bare_name(name).strip().lower())[-1])
    if word in _KNOWN:
        return _KNOWN[word], None
    symbol, counted = _SYMBOL.fullmatch(word), _UNIT.fullmatch(word)
    if symbol and _KNOWN.get(symbol[1]) == symbol[2].upper():
        return symbol[2].upper(), None
    if counted and (column := _KNOWN.get(counted[1])) in ("N", "D", "C"):
        return column, _UNITS[counted[2][:2] if counted[2].startswith("th") else counted[2][0]]
    return None, None

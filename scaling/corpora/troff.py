r"""Plain text of manual pages, from the macros `man` and `mdoc` that they are written in.

A paragraph comes out as one line, and what belongs to a tag is indented under it, as a reader sees it:

    .TP                              -n, --dry-run
    .BR \-n ", " \-\-dry\-run            Print what would be done.
    Print what would be done.

A reader for text that a model learns from, and no typesetter: fonts, sizes, hyphenation and page headings leave no
trace, a table is its rows, and equations are left out. Macros that a page defines for itself are not carried out; the
text in their arguments is. Sources: groff_man(7), groff_mdoc(7) and groff_char(7).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence

_INDENT = 4
_MOST_INDENT = 8 * _INDENT
_CHARACTERS = {
    "aq": "'", "dq": '"', "lq": '"', "rq": '"', "oq": "'", "cq": "'", "ga": "`", "aa": "'", "rs": "\\", "ti": "~",
    "ha": "^", "hy": "-", "mi": "-", "en": "-", "em": "--", "bu": "*", "co": "(C)", "rg": "(R)", "tm": "(TM)",
    "at": "@", "sh": "#", "Do": "$", "ba": "|", "bv": "|", "br": "|", "sl": "/", "lB": "[", "rB": "]", "lC": "{",
    "rC": "}",
    "la": "<", "ra": ">", "->": "->", "<-": "<-", "<=": "<=", ">=": ">=", "!=": "!=", "==": "==", "+-": "+-",
    "mu": "x", "de": " degrees", "ul": "_", "ru": "_", "dg": "*", "**": "*", "eq": "=",
    "pl": "+", "Fo": "<<", "Fc": ">>", "bq": ",", "Bq": ",,", "sq": "*", "ci": "o", "OK": "*", "ss": "ss",
    "ae": "ae", "o/": "o", "fm": "'", "sd": '"',
}  # fmt: skip
"""Special characters by their names in troff."""
_ACCENT = re.compile(r"[':`^,~o][A-Za-z]")
"""A letter with an accent, as in `o:`."""
_STRINGS = {"lq": '"', "rq": '"', "L": '"', "R": "(R)", "Tm": "(TM)", "Lq": '"', "Rq": '"', "Le": "<=", "Ge": ">=",
            "Ne": "!=", "Lt": "<", "Gt": ">", "Ba": "|", "Am": "&", "Pm": "+-", "--": "--",
            "C`": '"', "C'": '"'}  # fmt: skip
_SINGLE = {"-": "-", "e": "\\", "E": "\\", "\\": "\\", " ": " ", "~": " ", "0": " ", "t": "\t", "'": "'", "`": "`",
           ".": ".", "_": "_"}  # fmt: skip
_ESCAPE = re.compile(
    r"""\\(?:
      [fFmMgkY](?:\[[^\]]*\]|\(..|.)
    | s(?:[+-]?\[[^\]]*\]|[+-]?'[^']*'|[+-]?\([+-]?..|[+-]?\d{1,2})
    | N'(?P<code>\d+)' | C'(?P<named>[^']*)'
    | [hvwlLoDXxbABHRSZ]'[^']*'
    | n[+-]?(?:\[[^\]]*\]|\(..|.)
    | \*(?:\[(?P<long>[^\]]*)\]|\((?P<two>..)|(?P<one>.))
    | \[(?P<special>[^\]]*)\] | \((?P<pair>..)
    | (?P<single>.)
    | $)""",
    re.VERBOSE,
)
_COMMENT = re.compile(r'(?<!\\)((?:\\\\)*)\\["#].*')
_ARGUMENT = re.compile(r'"((?:[^"]|"")*)"?|((?:\\.|[^\s\\])+|\\)', re.DOTALL)
_REQUEST = re.compile(r"[.'][ \t]*(\\?[^\s\\]*)[ \t]*(.*)", re.DOTALL)


def plain(source: str) -> str:
    """The text of a manual page; empty where it has none, or only names another page (`.so`)."""
    page = _Page()
    page.read(source.splitlines())
    page.end()
    text = "\n".join(line.rstrip() for line in page.lines)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n" if text.strip() else ""


def arguments(rest: str) -> list[str]:
    """The arguments of a request, those in quotes without them; escapes are left as they are."""
    return [
        bare if bare else quoted.replace('""', '"')
        for quoted, bare in (match.groups(default="") for match in _ARGUMENT.finditer(rest))
    ]


class _Page:
    """Text that has been read so far, and how the next line will be set."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.words: list[str] = []
        self.strings = dict(_STRINGS)
        self.name = ""
        """What `.Nm` without an argument says."""
        self.outer = 0
        """Indent of `.RS` blocks and lists."""
        self.hanging = 0
        """Further indent of what belongs to a tag."""
        self.filled = True
        self.awaits: Callable[[str], None] | None = None
        """What the next line of text is, where it is not more of the paragraph."""
        self.taken = False
        """Whether the last `.ie` was carried out."""
        self.lists: list[str] = []

    # --- lines ---------------------------------------------------------------------------------------

    def read(self, lines: Sequence[str]) -> None:
        """Read lines of troff, requests and text."""
        rest = iter(lines)
        for line in rest:
            line = _COMMENT.sub(r"\1", line)
            while line.endswith("\\") and not line.endswith("\\\\"):
                line = line[:-1] + next(rest, "")
            if line.startswith((".", "'")):
                match = _REQUEST.match(line)
                if match and match[1]:
                    self._request(match[1], match[2], rest)
            elif line.strip():
                self._text(line)
            elif self.filled:
                self._break(blank=True)
            else:
                self.lines.append("")

    def end(self) -> None:
        """Put down the last paragraph."""
        self._break()

    def _request(self, name: str, rest: str, lines: Iterator[str]) -> None:
        if name in ("de", "de1", "am", "ig", "EQ"):
            ends = {"EQ": ".EN"}.get(name) or "." + (
                [*arguments(rest), ".", "."][0 if name == "ig" else 1].lstrip(".") or "."
            )
            for line in lines:
                if line.replace(" ", "").startswith(ends):
                    break
        elif name in ("if", "ie", "el"):
            self._condition(name, rest, lines)
        elif name == "ds":
            key, _, value = rest.partition(" ")
            self.strings[key] = self.clean(value.strip().removeprefix('"'))
        elif name == "TS":
            self._table(lines)
        elif made := getattr(self, f"_do_{name}", None):
            made(arguments(rest))
        elif name in _FONTS:
            self._say([self.clean(one) for one in arguments(rest)], _FONTS[name])
        elif name[:1].isupper() and name[1:2].islower() and len(name) == 2:
            self._mdoc([name, *arguments(rest)])

    def _condition(self, name: str, rest: str, lines: Iterator[str]) -> None:
        """Carry a request out where its condition holds on a terminal: `n`, or `!t`, or that this is groff."""
        if name == "el":
            holds, body = not self.taken, rest
        else:
            match = re.match(
                r"(!?)\s*(\\n\(\.g|\(.*?\)|'[^']*'[^']*'|\"[^\"]*\"[^\"]*\"|\S+?)(?=\s|\\\{|$)\s*", rest
            )
            if match is None:
                return
            holds = (match[2] in ("n", "\\n(.g")) != bool(match[1])
            body = rest[match.end() :]
        if name == "ie":
            self.taken = holds
        if not body.lstrip().startswith("\\{"):
            block = [body]
        else:
            block, depth = [], 0
            for line in itertools.chain([body], lines):
                depth += line.count("\\{") - line.count("\\}")
                block.append(line)
                if depth <= 0:
                    break
            block[0] = block[0].lstrip()[2:]
            block[-1] = re.sub(r"[.']?[ \t]*(br)?\\\}$", "", block[-1])
        if holds:
            self.read(block)

    def _table(self, lines: Iterator[str]) -> None:
        """Rows of a table, a line each; the lines above that say how it looks are left out."""
        self._break(blank=True)
        told = False
        for line in lines:
            if line.startswith(".TE"):
                break
            if not told:
                told = line.rstrip().endswith(".")
            elif line.startswith(".T&"):
                told = False
            elif line[:1] not in (".", "'") and line.strip(" _=\t"):
                row = self.clean(line.replace("T{", " ").replace("T}", " ").replace("\t", "  "))
                self.lines += [self._margin + row.strip()] if row.strip() else []
        self._break(blank=True)

    def _text(self, line: str) -> None:
        said = self.clean(line)
        if self.awaits:
            awaits, self.awaits = self.awaits, None
            awaits(said)
        elif not self.filled:
            self.lines.append(self._margin + said)
        else:
            if line[:1] in (" ", "\t"):
                self._break()
            self.words += said.split()

    def _say(self, words: Sequence[str], between: str) -> None:
        """Text in the arguments of a request."""
        if any(words):
            said = between.join(words)
            self._text(said.replace("\\", "\\e"))

    def clean(self, text: str) -> str:
        """Text without escapes."""
        return _ESCAPE.sub(self._escape, text)

    def _escape(self, match: re.Match[str]) -> str:
        for group in ("long", "two", "one"):
            if (name := match[group]) is not None:
                return self.strings.get(name, "")
        if match["code"]:
            return chr(min(int(match["code"]), 0x10FFFF))
        for group in ("special", "pair", "named"):
            if (name := match[group]) is not None:
                if re.fullmatch(r"u[0-9A-F]{4,5}", name):
                    return chr(int(name[1:], 16))
                return _CHARACTERS.get(name, name[1:] if _ACCENT.fullmatch(name) else "")
        return _SINGLE.get(match["single"] or "", "")

    @property
    def _margin(self) -> str:
        return " " * min(self.outer + self.hanging, _MOST_INDENT)

    def _break(self, *, blank: bool = False) -> None:
        if self.words:
            self.lines.append(self._margin + " ".join(self.words))
            self.words = []
        if blank:
            self.lines.append("")

    # --- man -----------------------------------------------------------------------------------------

    def _heading(self, said: str) -> None:
        self.lines += ["", said.strip(), ""]

    def _do_SH(self, given: list[str]) -> None:
        self._break()
        self.outer = self.hanging = 0
        self.filled, self.lists = True, []
        self.awaits = self._heading
        self._say([self.clean(one) for one in given], " ")

    _do_SS = _do_Sh = _do_Ss = _do_SH

    def _do_PP(self, given: list[str]) -> None:
        self._break(blank=True)
        self.hanging = 0

    _do_P = _do_LP = _do_HP = _do_PP

    def _do_sp(self, given: list[str]) -> None:
        self._break(blank=True)

    _do_Pp = _do_sp

    def _do_br(self, given: list[str]) -> None:
        self._break()

    _do_YS = _do_br

    def _do_TP(self, given: list[str]) -> None:
        self._break()
        self.hanging = 0
        self.awaits = self._tag

    _do_TQ = _do_TP

    def _tag(self, said: str) -> None:
        self.lines.append(self._margin + said.strip())
        self.hanging = _INDENT

    def _do_IP(self, given: list[str]) -> None:
        self._break(blank=not given)
        self.hanging = 0
        if given:
            self._tag(self.clean(given[0]))
        self.hanging = _INDENT

    def _do_RS(self, given: list[str]) -> None:
        self._break()
        self.outer, self.hanging = self.outer + _INDENT, 0

    def _do_RE(self, given: list[str]) -> None:
        self._break()
        self.outer, self.hanging = max(self.outer - _INDENT, 0), 0

    def _do_nf(self, given: list[str]) -> None:
        self._break()
        self.filled = False

    _do_EX = _do_nf

    def _do_fi(self, given: list[str]) -> None:
        self.filled = True

    _do_EE = _do_fi

    def _do_OP(self, given: list[str]) -> None:
        self._say([f"[{' '.join(map(self.clean, given))}]"], "")

    def _do_SY(self, given: list[str]) -> None:
        self._break()
        self._say([self.clean(one) for one in given], " ")

    # --- mdoc ----------------------------------------------------------------------------------------

    def _do_Bl(self, given: list[str]) -> None:
        self._break(blank=True)
        self.outer += _INDENT if self.lists else 0
        self.hanging = 0
        self.lists.append(given[0] if given else "")

    def _do_El(self, given: list[str]) -> None:
        self._break(blank=True)
        self.lists = self.lists[:-1]
        self.outer, self.hanging = max(self.outer - _INDENT, 0) if self.lists else 0, 0

    def _do_It(self, given: list[str]) -> None:
        self._break()
        self.hanging = 0
        marked = {"-bullet": "*", "-dash": "-", "-hyphen": "-", "-enum": "*"}
        tag = marked.get(self.lists[-1] if self.lists else "", "") or self._inline(given)
        if tag:
            self._tag(tag)

    def _do_Bd(self, given: list[str]) -> None:
        self._break(blank=True)
        self.filled = not {"-literal", "-unfilled"} & set(given)

    def _do_Ed(self, given: list[str]) -> None:
        self._break(blank=True)
        self.filled = True

    def _do_Nd(self, given: list[str]) -> None:
        self._say(["-", *map(self.clean, given)], " ")

    def _mdoc(self, words: list[str]) -> None:
        if words[0] in _SILENT:
            return
        said = self._inline(words)
        if said[:1] in _CLOSING and len(said) == 1 and self.words:
            self.words[-1] += said
        elif said:
            self._say([said], "")

    def _inline(self, words: Sequence[str]) -> str:
        return _Inline(self).read(words)


class _Inline:
    """What the macros in one line of `mdoc` say, each of which may call others."""

    def __init__(self, page: _Page):
        self.page = page
        self.said: list[str] = []
        self.glue = False
        """Whether the next word stands right behind the last one."""
        self.prefix = ""
        """Of each word, a flag's dash."""
        self.refers = False
        """Whether a section in parentheses belongs to the last word."""
        self.closes: list[str] = []
        """What ends the enclosures that are open, at the end of the line."""

    def read(self, words: Sequence[str]) -> str:
        """The text of a line."""
        for place, word in enumerate(words):
            after = words[place + 1] if place + 1 < len(words) else ""
            if word in _CALLABLE:
                self._macro(word, after, not after or after in _CALLABLE or after in _CLOSING)
            else:
                self._word(word, last=all(one in _CLOSING for one in words[place:]))
        self._close()
        return " ".join(self.said)

    def _macro(self, word: str, after: str, empty: bool) -> None:
        """Begin a macro; `empty` where it has no argument of its own."""
        self.prefix, self.refers = "-" if word == "Fl" else "", word == "Xr"
        if word == "Fl" and (empty or after == "Fl"):
            self._put("-", glue=after in ("Fl", "Ns"))
        elif word == "Ar" and empty:
            self._put("file ...")
        elif word == "Nm" and empty:
            self._put(self.page.name)
        elif word == "Nm":
            self.page.name = self.page.name or self.page.clean(after)
        elif word == "Ns":
            self.glue = True
        elif word in _ENCLOSE or word in _OPEN:
            self._put((_ENCLOSE | _OPEN)[word][0], glue=True)
            self.closes += [_ENCLOSE[word][1]] if word in _ENCLOSE else []
        elif word in _CLOSE:
            self.glue = True
            self._put(_CLOSE[word])

    def _word(self, word: str, *, last: bool) -> None:
        """A word that is no macro; `last` where only marks follow."""
        if word in _CLOSING and self.said:
            if last:
                self._close()
            self.said[-1] += word
        elif word in ("(", "["):
            self._put(word, glue=True)
        elif self.refers and self.said and re.fullmatch(r"\d\w*", word):
            self.said[-1] += f"({word})"
            self.refers = False
        else:
            self._put(self.prefix + self.page.clean(word))

    def _put(self, text: str, *, glue: bool = False) -> None:
        if self.glue and self.said:
            self.said[-1] += text
        else:
            self.said.append(text)
        self.glue = glue

    def _close(self) -> None:
        if self.said:
            self.said[-1] += "".join(reversed(self.closes))
            self.closes = []


_FONTS = dict.fromkeys(("B", "I", "SM", "SB", "R"), " ") | dict.fromkeys(
    ("BR", "RB", "BI", "IB", "RI", "IR"), ""
)
"""What stands between the arguments of a request that changes the font."""
_CLOSING = frozenset(".,;:)]?!")
_SILENT = frozenset({"Dd", "Dt", "Os", "Bk", "Ek", "Sm", "Rs", "Re", "Tg"})
_ENCLOSE = {"Op": ("[", "]"), "Pq": ("(", ")"), "Bq": ("[", "]"), "Brq": ("{", "}"), "Aq": ("<", ">"),
            "Dq": ('"', '"'), "Qq": ('"', '"'), "Sq": ("'", "'"), "Ql": ("'", "'")}  # fmt: skip
_OPEN = {"Oo": ("[", ""), "Po": ("(", ""), "Bo": ("[", ""), "Bro": ("{", ""), "Ao": ("<", ""), "Do": ('"', ""),
         "So": ("'", ""), "Qo": ('"', "")}  # fmt: skip
_CLOSE = {"Oc": "]", "Pc": ")", "Bc": "]", "Brc": "}", "Ac": ">", "Dc": '"', "Sc": "'", "Qc": '"'}
_CALLABLE = frozenset({"Fl", "Ar", "Nm", "Ns", "Xr", "Cm", "Em", "Sy", "Pa", "Ev", "Li", "Va", "Dv", "Ic", "Er", "Tn",
                       "Ad", "An", "Lk", "Mt", "No", "Fa", "Ft", "Fn", "Cd", "Pf", "Sx", "St", "Ux", "Bx", "At", "Ms",
                       "Vt", *_ENCLOSE, *_OPEN, *_CLOSE})  # fmt: skip

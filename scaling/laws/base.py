"""What a law is, read from its signature.

A law is a plain function. Positional arguments are measured (columns of the runs), keyword-only arguments are
fitted (parameters), and the annotations below carry unit, bounds and where to look for a start:

    def chinchilla(N: Count, D: Count, *, E: Nats, A: Scale, B: Scale, alpha: Exponent, beta: Exponent): ...

A function without annotations is a law too: its parameters are unbounded and their starts are sought over a
wider range. `partial(law, E=1.69)` is the law with E held still.

Which parameters enter linearly is not declared; `scaling.fit` measures it.
"""

from __future__ import annotations

import functools
import inspect
import math
import numbers
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, ParamSpec

from scaling.arguments import checked
from scaling.errors import LawError, brief, did_you_mean


class NotALaw(LawError):
    """A function whose signature does not say what is measured and what is fitted."""

    law: str
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.law} was given as a law, but {self.reason}. A law takes its columns by position and its parameters "
            "by keyword, e.g. def law(N, D, *, E, A, alpha)."
        )


class UnknownParameter(LawError):
    """A parameter that the law does not have."""

    law: str
    option: str
    given: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.option} names the parameter {self.given!r}, which {self.law} does not have. "
            f"{did_you_mean(self.given, self.known)}It has {', '.join(self.known)}."
        )


@dataclass(frozen=True)
class Quantity:
    """What an annotation says about a column or a parameter.

    Use it in a law of your own as `Annotated[float, Quantity("nats/token", low=0)]`.
    """

    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    log: bool = False
    """Spans orders of magnitude: the solver moves it by factors, and it keeps its sign."""
    start: tuple[float, float] | None = None
    """Where starts are sought; across zero or not `log`, evenly; else evenly in the logarithm."""
    count: bool = False
    """A column that a law extrapolates along: parameters, tokens, FLOPs. Three values or more make a fit."""


type_of_value = Any  # arrays, floats, dual numbers and browser traces all pass through a law

Count = Annotated[type_of_value, Quantity("", low=0.0, log=True, start=(1e6, 1e16), count=True)]
"""A number of parameters, tokens, steps or FLOPs; positive."""
Pool = Annotated[type_of_value, Quantity("", low=0.0, log=True, start=(1e6, 1e16))]
"""A number that others are compared with, such as the distinct tokens on offer; positive, and one value is enough."""
Nats = Annotated[type_of_value, Quantity("nats/token", low=0.0, start=(0.0, 4.0))]
"""A loss that cannot be negative."""
Scale = Annotated[type_of_value, Quantity("", low=0.0, log=True, start=(1e-2, 1e6))]
"""The size of a removable term; positive, known only to a factor."""
Exponent = Annotated[type_of_value, Quantity("", low=0.0, high=10.0, start=(0.02, 2.0))]
"""How fast a term falls."""
Epochs = Annotated[type_of_value, Quantity("repeats", low=1e-3, high=1e6, log=True, start=(1.0, 100.0))]
"""A number of times that the data are seen, or seen again."""
Sharpness = Annotated[type_of_value, Quantity("", low=1e-2, high=1e2, log=True, start=(0.5, 8.0))]
"""How abruptly one regime gives way to another; positive."""
Share = Annotated[type_of_value, Quantity("", low=0.0, high=1.0, start=(0.0, 1.0))]
"""A fraction of a whole."""
Signed = Annotated[type_of_value, Quantity("", start=(-2.0, 2.0))]
"""A number of either sign."""


@dataclass(frozen=True)
class Argument:
    """One argument of a law: a column that it reads, or a parameter that it is fitted by."""

    name: str
    quantity: Quantity
    annotated: bool
    """False when the signature says nothing and `quantity` is a guess."""
    default: float | None = None


@dataclass(frozen=True)
class Law:
    """A function seen as a law. Made by `describe`; calling it calls the function."""

    function: Callable[..., Any]
    name: str
    columns: tuple[Argument, ...]
    parameters: tuple[Argument, ...]
    """What can be fitted, in the order of the signature."""
    held: dict[str, float] = field(default_factory=dict)
    """Numbers that `functools.partial` has already set."""

    def __call__(self, *columns: Any, **parameters: Any) -> Any:
        return self.function(*columns, **parameters)

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.parameters)


def describe(law: Callable[..., Any] | Law) -> Law:
    """The law that a function's signature declares.

    Args:
        law: a function, a `functools.partial` of one, or a `Law`.

    Raises:
        NotALaw: no measured or no fitted argument, arguments that are collected with * or **, or a default that is no
            number.
    """
    if isinstance(law, Law):
        return law
    if not callable(law):
        raise NotALaw(
            brief(law), "it is no function; pass one itself, e.g. laws.get('chinchilla'), before the runs"
        )
    name = name_of(law)
    try:
        signature = inspect.signature(law)
    except (TypeError, ValueError) as reason:
        raise NotALaw(name, f"its signature cannot be read ({reason})") from None
    given = law.keywords if isinstance(law, functools.partial) else {}
    held = {name: value for name, value in given.items() if _is_number(value)}
    hints = _annotations(law)
    columns, parameters = [], []
    for argument in signature.parameters.values():
        if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            raise NotALaw(name, f"it collects arguments with {argument}, so their names are not known")
        if argument.name in given:
            continue
        quantity = _quantity(hints.get(argument.name))
        default = None if argument.default is argument.empty else argument.default
        if not (default is None or _is_number(default)):
            way = f"set it before, by functools.partial({name}, {argument.name}={default!r})"
            raise NotALaw(name, f"{argument.name} is {default!r} by default, which is no number; {way}")
        start = None if default is None else float(default)
        read = Argument(argument.name, quantity or Quantity(), quantity is not None, start)
        (parameters if argument.kind is argument.KEYWORD_ONLY else columns).append(read)
    if not columns:
        raise NotALaw(name, "it has no positional argument, so it reads no column")
    if not parameters and not given:
        raise NotALaw(name, "it has no keyword-only argument (after a *), so there is nothing to fit")
    return Law(law, name, tuple(columns), tuple(parameters), held)


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def name_of(law: Callable[..., Any] | Law) -> str:
    """The name that a law goes by: its function's."""
    if isinstance(law, Law):
        return law.name
    inner = law.func if isinstance(law, functools.partial) else law
    return getattr(inner, "__name__", type(inner).__name__)


P = ParamSpec("P")


def made_once(factory: Callable[P, Callable[..., Any]]) -> Callable[P, Callable[..., Any]]:
    """The same factory, which answers equal arguments with one and the same law, by position, by name or by default.

    So that a law which ships can be told from another of that name by identity.
    """
    signature, made = inspect.signature(factory), functools.cache(factory)

    @functools.wraps(factory)
    def once(*args: P.args, **named: P.kwargs) -> Callable[..., Any]:
        bound = signature.bind(*args, **named)
        bound.apply_defaults()
        try:
            return made(*bound.args, **bound.kwargs)
        except TypeError:  # an argument that cannot be hashed; any other mistake is raised again
            return factory(*args, **named)

    return once


@made_once
@checked
def along(law: Callable[..., Any], column: str) -> Callable[..., Any]:
    """The same law of one scale, reading another column: `along(power_law_floor, "D")`.

    Args:
        law: a law that reads one column.
        column: the name it shall read.

    Raises:
        NotALaw: the law reads more than one column, or `column` is not a name.
    """
    described = describe(law)
    name = f"{described.name} along {column}"
    if len(described.columns) != 1 or not column.isidentifier():
        raise NotALaw(
            name,
            f"it reads {', '.join(described.column_names)}, and only one name can be exchanged for another",
        )

    def renamed(scale: Any, **parameters: Any) -> Any:
        return law(scale, **parameters)

    signature = inspect.signature(law)
    first = described.columns[0].name
    arguments = [a.replace(name=column) if a.name == first else a for a in signature.parameters.values()]
    arguments = [a for a in arguments if a.name not in described.held]
    hints = _annotations(law)
    renamed.__signature__ = signature.replace(parameters=arguments)  # type: ignore[attr-defined]
    renamed.__annotations__ = {(column if k == first else k): v for k, v in hints.items() if k != "return"}
    renamed.__name__ = renamed.__qualname__ = name
    renamed.__doc__ = law.__doc__
    return renamed


def declared(
    function: Callable[..., Any],
    name: str,
    doc: str | None,
    columns: dict[str, Any],
    parameters: dict[str, Any],
) -> Callable[..., Any]:
    """The same function under a signature of its own, for laws whose arguments are known only when they are made.

    Args:
        function: takes the columns by position and the parameters by keyword, however it collects them.
        name: what the law goes by.
        doc: its docstring.
        columns, parameters: name and annotation of each argument, in order; None where it has no annotation.
    """
    kinds = {inspect.Parameter.POSITIONAL_OR_KEYWORD: columns, inspect.Parameter.KEYWORD_ONLY: parameters}
    arguments = [inspect.Parameter(n, kind) for kind, named in kinds.items() for n in named]
    function.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]
    function.__annotations__ = {n: hint for n, hint in (columns | parameters).items() if hint is not None}
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _annotations(law: Callable[..., Any]) -> dict[str, Any]:
    inner = law.func if isinstance(law, functools.partial) else law
    inner = inspect.unwrap(inner)
    if not inspect.isroutine(inner):  # an object with __call__
        inner = type(inner).__call__
    try:
        return typing.get_type_hints(inner, include_extras=True)
    except (NameError, TypeError, AttributeError):  # an annotation that only a type checker can resolve
        return {}


def _quantity(hint: Any) -> Quantity | None:
    for note in getattr(hint, "__metadata__", ()):
        if isinstance(note, Quantity):
            return note
    return None

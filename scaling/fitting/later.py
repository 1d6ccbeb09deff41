"""Fields of a frozen result that are computed when they are first read."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any


class Later:
    """What a field will be; pickled and copied deeply as what it is then."""

    def __init__(self, make: Callable[[], Any]):
        self.make = make

    @cached_property
    def value(self) -> Any:
        return self.make()

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self.value,)


def when_read(default: Any) -> Any:
    """A field of a dataclass that takes its value or a `Later`, which is computed when the field is first read."""
    return _WhenRead(default)


class _WhenRead:
    def __init__(self, default: Any):
        self.default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, one: object | None, owner: type) -> Any:
        if one is None:
            return self.default
        value = vars(one)[self.name]
        if isinstance(value, Later):
            value = vars(one)[self.name] = value.value
        return value

    def __set__(self, one: object, value: Any) -> None:
        vars(one)[self.name] = value


def _itself(value: Any) -> Any:
    return value

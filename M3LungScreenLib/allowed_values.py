"""Checks settings against their type and the range annotated with it.

temperature: Annotated[float, Range(0, 1000, over=True)] = 1.0
"""

import math
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both included; with `over` not `low` itself."""

    low: float
    high: float
    over: bool = False

    def __contains__(self, value: float) -> bool:
        return (self.low < value if self.over else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        return f"{'above' if self.over else 'from'} {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Count:
    """A list of `low` to `high` values."""

    low: int
    high: int

    def __contains__(self, values: tuple[Any, ...]) -> bool:
        return self.low <= len(values) <= self.high

    def __str__(self) -> str:
        if self.low == self.high:
            return f"({self.low} entries)"
        return f"({self.low} to {self.high} entries)"


def check_values(settings: Any, where: str = "") -> None:
    """ValueError names the first setting, nested ones too, with its value and what it takes."""
    for name, kind in get_type_hints(type(settings), include_extras=True).items():
        value, key = getattr(settings, name), f"{where}{name}"
        if is_dataclass(kind) and isinstance(value, kind):  # type: ignore[arg-type]
            check_values(value, f"{key}.")
        elif not _fits(value, kind):
            raise ValueError(f"{key} is {value!r} but must be {_words(kind)}")


def _fits(value: Any, kind: Any) -> bool:
    """Whether `value` is of the annotated type `kind`; a bool is no number, NaN none either."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _fits(value, parts[0]) and all(value in each for each in parts[1:])
    if origin is Literal:
        return any(value == each and type(value) is type(each) for each in parts)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(each, parts[0]) for each in value)
    if origin is dict:
        key, entry = parts
        return isinstance(value, dict) and all(
            _fits(name, key) and _fits(each, entry) for name, each in value.items()
        )
    if parts:  # a union
        return any(_fits(value, each) for each in parts)
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is kind


def _words(kind: Any) -> str:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return " ".join([_words(parts[0]), *map(str, parts[1:])])
    if origin is Literal:
        return "one of " + ", ".join(map(repr, parts))
    if origin is tuple:
        return f"a list, each entry {_words(parts[0])}"
    if origin is dict:
        return f"a group, each entry {_words(parts[1])}"
    if parts:
        return " or ".join(map(_words, parts))
    return "null" if kind is type(None) else NAMES.get(kind, "a group of settings")

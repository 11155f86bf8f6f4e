"""Regular expressions from users, with a time limit.

Python's `re` cannot be interrupted, and no other thread runs while it works: a pattern like `^(a|a)*$`
would stop the whole process. The `regex` package has a time limit, and lets other threads run meanwhile.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from types import FunctionType
from typing import Any

from output_mock.javascript_json import utf16

from .javascript import translated

# How many seconds all patterns of one schema may compute for one value.
LIMIT = 1.0
# How many seconds a match may keep other threads from running. To let them run costs more than most matches.
_ALONE = 0.005
# How many characters a pattern may have, and how many when each level of repeated groups doubles them.
_LONGEST, _MOST_INVOLVED = 10_000, 100_000


class PatternTooSlow(Exception):
    """A pattern of a schema took too long."""


class _Spent(threading.local):
    """What patterns have computed in this thread for the value that is being parsed."""

    seconds = 0.0


_spent = _Spent()


def begin() -> None:
    """Start the time limit again for the next value in this thread."""
    _spent.seconds = 0.0


@lru_cache(maxsize=256)
def bounded_regex(source: str) -> tuple[Callable[[str], bool], str]:
    """The test of `new RegExp(source)`, and the text `/source/` in which zod quotes it.

    The test raises `PatternTooSlow` when the patterns of one schema have computed for more than `LIMIT`.
    Raises `re.error` for what JavaScript does not take, for what Python has no equal for (`\\p{…}`), and for
    a pattern so long, or with so many repeated groups inside each other, that even to read it takes long.
    """
    python, shown, depth = translated(source)
    if len(source) > _LONGEST:
        raise re.error(f"it has {len(source)} characters, but at most {_LONGEST} are allowed")
    if len(source) << depth > _MOST_INVOLVED:
        raise re.error(f"it has {depth} nested repeats in {len(source)} characters, which is too many")
    # Takes a tenth of a second to import, for which only those who have patterns should wait.
    import regex

    try:
        search = regex.compile(python, regex.ASCII | regex.VERSION0).search
    except regex.error as error:
        raise re.error(str(error)) from None
    except (RecursionError, OverflowError) as error:
        raise re.error(f"it is nested too deeply ({error})") from None

    def matches(text: str) -> bool:
        text = utf16(text)
        began = time.thread_time()
        left = max(LIMIT - _spent.seconds, 0.0)
        try:
            if left > _ALONE:
                with suppress(TimeoutError):
                    return search(text, timeout=_ALONE) is not None
            return search(text, timeout=left, concurrent=True) is not None
        except TimeoutError:
            raise PatternTooSlow(
                f"the pattern {source[:200]!r} of its schema takes too long: the patterns of a schema may "
                f"compute for {LIMIT:g} s, and it was at a text of {len(text)} characters that begins with "
                f"{text[:40]!r}. Write it without repeats inside repeats and without choices that begin "
                "alike, or have it match shorter texts"
            ) from None
        finally:
            _spent.seconds += time.thread_time() - began

    return matches, shown


class _BoundedRe:
    """Replaces the module `re` in the checks of the `jsonschema` package."""

    @staticmethod
    def search(pattern: str, text: str) -> bool:
        return bounded_regex(pattern)[0](text)


@lru_cache(maxsize=1)
def validator_class() -> Any:
    """A validator of draft 2020-12 as in the `jsonschema` package, but for its patterns.

    They are matched here, in JavaScript's syntax. The package uses `re` in the functions of several keywords,
    and in what these call: they are given another `re`.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    known: dict[Any, Any] = {}
    keywords = {word: _with_bounded_re(one, known) for word, one in Draft202012Validator.VALIDATORS.items()}
    made: Any = extend(Draft202012Validator, keywords)  # type: ignore[no-untyped-call]
    evolve = made.evolve

    def evolved(self: Any, **changes: Any) -> Any:
        # For a schema that says which draft it is of, the package would take the class of that draft.
        schema = changes.get("schema", self.schema)
        if isinstance(schema, dict) and "$schema" in schema:
            changes["schema"] = {word: value for word, value in schema.items() if word != "$schema"}
        return evolve(self, **changes)

    made.evolve = evolved
    return made


def _with_bounded_re(function: Any, known: dict[Any, Any]) -> Any:
    """The function, with bounded patterns in it and in the functions of the same package that it calls."""
    if function in known or not isinstance(function, FunctionType):
        return known.get(function, function)
    scope = function.__globals__
    used = {name: scope[name] for name in function.__code__.co_names if name in scope}
    ours = dict(scope)
    known[function] = copied = FunctionType(
        function.__code__, ours, function.__name__, function.__defaults__, function.__closure__
    )
    copied.__kwdefaults__ = function.__kwdefaults__
    for name, value in used.items():
        if value is re:
            ours[name] = _BoundedRe
        elif isinstance(value, FunctionType) and value.__module__.startswith("jsonschema."):
            ours[name] = _with_bounded_re(value, known)
    return copied

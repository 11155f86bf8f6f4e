"""JSON values with expressions in them, compiled once and evaluated for each run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from output_mock.places import Place
from output_mock.scripts.yaml import functions
from output_mock.scripts.yaml.expressions import Expression, InvalidExpression

Names = Mapping[str, Any]


class ExpressionError(Exception):
    """An expression that has failed. The message shows it and says why; `place` says where it is written."""

    def __init__(self, text: str, problem: object, place: Place) -> None:
        super().__init__(f"{{{{ {text} }}}}: {problem}")
        self.place = place


class Template:
    """A value that may have expressions in it. This class itself is for values without."""

    def __init__(self, value: Any, place: Place) -> None:
        self._value = value
        self.place = place

    @property
    def is_constant(self) -> bool:
        """Whether it is the same for every run."""
        return type(self) is Template

    def value(self, names: Names) -> Any:
        """The value, with these values of the names in its expressions. Raises `ExpressionError`."""
        return self._value


class Whole(Template):
    """One expression and nothing else; its value is any JSON."""

    def __init__(self, expression: Expression, place: Place) -> None:
        super().__init__(expression, place)

    def value(self, names: Names) -> Any:
        try:
            return self._value.value(names)
        except InvalidExpression as fault:
            raise ExpressionError(self._value.text, fault, self.place) from None


class Mixed(Template):
    """Text with expressions in it; its value is text."""

    def __init__(self, parts: list[str | Whole], place: Place) -> None:
        super().__init__(parts, place)

    def value(self, names: Names) -> Any:
        words: list[str] = []
        length = 0
        for part in self._value:
            if isinstance(part, str):
                words.append(part)
            else:
                value = part.value(names)
                try:
                    words.append(functions.as_text(value))
                except functions.FunctionError as fault:
                    raise ExpressionError(part._value.text, fault, part.place) from None
            length += len(words[-1])
            if length > functions.LONGEST_TEXT:
                problem = f"the text becomes longer than {functions.LONGEST_TEXT} characters"
                raise ExpressionError("…", problem, self.place)
        return "".join(words)


class Listed(Template):
    """A list with expressions somewhere in it."""

    def value(self, names: Names) -> Any:
        return [item.value(names) for item in self._value]


class Mapped(Template):
    """An object with expressions somewhere in it."""

    def value(self, names: Names) -> Any:
        return {name: item.value(names) for name, item in self._value.items()}

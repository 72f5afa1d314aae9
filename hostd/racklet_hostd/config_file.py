"""A TOML file that knows its lines, so that a person finds what is wrong in it."""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self, get_args

import tomlkit
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from tomlkit import TOMLDocument
from tomlkit.container import Container
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, InlineTable, Item, Table

from racklet_hostd.errors import ConfigError, ConfigProblem

Place = tuple[str | int, ...]

_MARK = "racklet-mark"
_LOCATED_LIMIT = 50  # problems that are told with their line: each costs a look through the whole file
_FOUND_LIMIT = 60  # characters of a wrong value that are shown
_EXPECTED = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "model_type": "a table",
    "path_type": "a path",
    "string_type": "a text",
}
_SYNTAX_ERROR = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", re.DOTALL)


class ConfigFile:
    """What a TOML file says, and on which line it says it."""

    def __init__(self, path: Path, text: str, data: Mapping[str, Any]) -> None:
        self.path = path
        self.data = data
        self._text = text

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read `path`; raise ConfigError when it cannot be read or is not TOML."""
        try:
            raw = path.read_bytes()
        except OSError as error:
            problem = ConfigProblem(None, "", f"cannot be read: {error.strerror}")
            raise ConfigError(path, (problem,)) from error
        try:
            return cls.of_text(path, raw.decode())
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise ConfigError(path, (ConfigProblem(line, "", "expected UTF-8 text"),)) from error

    @classmethod
    def of_text(cls, path: Path, text: str) -> Self:
        """Take what `path` says; raise ConfigError when it is not TOML."""
        try:
            return cls(path, text, tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(path, (_syntax_problem(str(error), text),)) from error
        except RecursionError as error:
            raise ConfigError(path, (ConfigProblem(None, "", "not TOML: nested too deeply"),)) from error

    def explain(self, error: ValidationError, model: type[BaseModel]) -> tuple[ConfigProblem, ...]:
        """Say what `model` refused in this file, in the order of the lines; of very many only the first have theirs."""
        details: list[dict[str, Any]] = [dict(detail) for detail in error.errors(include_url=False)]
        problems = [
            ConfigProblem(
                self._line(detail["loc"]) if index < _LOCATED_LIMIT else None,
                _key(detail["loc"]),
                _sentence(detail, model),
            )
            for index, detail in enumerate(details)
        ]
        located = sorted(problems[:_LOCATED_LIMIT], key=lambda problem: problem.line or 0)
        return (*located, *problems[_LOCATED_LIMIT:])

    def problem(self, place: Place, message: str) -> ConfigProblem:
        """Return a problem with the value at `place`."""
        return ConfigProblem(self._line(place), _key(place), message)

    def _line(self, place: Place) -> int | None:
        """Return the line of `place`, or of the innermost table around it that the file has."""
        while place:
            line = self._line_of_existing(place)
            if line is not None:
                return line
            place = place[:-1]
        return None

    def _line_of_existing(self, place: Place) -> int | None:
        """Find the line by writing a comment behind the value, since tomlkit keeps the layout but counts no lines."""
        try:
            item: Any = self._document
            for step in place:
                item = _child(item, step)
            while not isinstance(item, Item) or _is_headless(item):
                item = item[0] if isinstance(item, Sequence) else next(iter(item.values()))
            height = 0 if isinstance(item, Mapping) else item.as_string().count("\n")
            before, after = self._marked(item)
        except (TOMLKitError, LookupError, TypeError, StopIteration):
            return None
        return before.count("\n") + 1 - height if after or before.endswith("# ") else None

    @cached_property
    def _document(self) -> TOMLDocument:
        return tomlkit.parse(self._text)

    def _marked(self, item: Item) -> tuple[str, str]:
        """Return the text before and after a comment behind `item`; after it as without."""
        trivia = item.trivia
        was = trivia.comment_ws, trivia.comment
        item.comment(_MARK)
        before, _, after = self._document.as_string().partition(_MARK)
        trivia.comment_ws, trivia.comment = was
        return before, after


def _child(parent: Any, step: str | int) -> Any:  # noqa: ANN401  tomlkit's types do not tell what holds what
    holder = parent.value if isinstance(parent, Table | InlineTable) else parent
    return holder.item(str(step)) if isinstance(holder, Container) else holder[step]


def _is_headless(item: Item) -> bool:
    return isinstance(item, AoT) or (isinstance(item, Table) and item.is_super_table())


def _syntax_problem(message: str, text: str) -> ConfigProblem:
    match = _SYNTAX_ERROR.fullmatch(message)
    what, line = (match[1], match[2]) if match else (message, None)
    at_end = text.rstrip().count("\n") + 1
    return ConfigProblem(int(line) if line else at_end, "", f"not TOML: {what}")


def _key(place: Place) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return "".join(steps).removeprefix(".")


def _sentence(detail: Mapping[str, Any], model: type[BaseModel]) -> str:
    place: Place = detail["loc"]
    if detail["type"] == "missing":
        return "expected this key, found none"
    if detail["type"] == "extra_forbidden":
        return _unknown_key(str(place[-1]), _fields(model, place[:-1]))
    expected = _expectation(detail, _fields(model, place[:-1]).get(str(place[-1])))
    return f"expected {expected}, found {_shown(detail['input'])}"


def _fields(model: type[BaseModel], place: Place) -> dict[str, FieldInfo]:
    """Return the keys that the table at `place` may have."""
    fields = _by_alias(model)
    for step in place:
        if isinstance(step, str):
            fields = _by_alias(_table_model(fields[step].annotation))
    return fields


def _by_alias(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _table_model(annotation: Any) -> type[BaseModel]:  # noqa: ANN401  what a field may be annotated with
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = get_args(annotation)
    return _table_model(inner[0]) if inner else BaseModel  # a plain value has no keys


def _unknown_key(key: str, known: Mapping[str, FieldInfo]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"the keys here are {', '.join(sorted(known))}"
    return f"unknown key; {hint}"


def _expectation(detail: Mapping[str, Any], field: FieldInfo | None) -> str:
    bounds = {
        name: getattr(mark, name)
        for mark in (field.metadata if field else ())
        for name in ("ge", "le")
        if hasattr(mark, name)
    }
    if len(bounds) == 2:  # noqa: PLR2004  both ends
        kind = "a whole number" if field and field.annotation is int else "a number"
        return f"{kind} from {bounds['ge']} to {bounds['le']}"
    if detail["type"] == "tuple_type":
        return f"[[{detail['loc'][-1]}]]"
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    if detail["type"] == "literal_error":
        return str(detail["ctx"]["expected"]).replace("'", '"')
    return _EXPECTED.get(detail["type"], str(detail["msg"]))


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "an array"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _FOUND_LIMIT else text[:_FOUND_LIMIT] + "…"

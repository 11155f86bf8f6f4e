"""The commands, options and variables on the pages exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import yaml

from output_mock.cli import command
from output_mock.cli.configured import CONFIG_VARIABLE, variables_of
from tests.docs.pages import PAGES, ROOT

# A command is in a code block, or is a whole piece of inline code.
_IN_BLOCKS = re.compile(r"(?<![\w/.\[-])output-mock (?=[a-z])(.*)")
_IN_TEXT = re.compile(r"`output-mock ([a-z][^`]*)`")
# What ends a command in a shell, in YAML or in JSON.
_END = re.compile(r"\s(?:#|\||>|2>|&|;)|\"[,\]]|$")


def commands() -> Iterator[tuple[str, str]]:
    """The command lines on the pages, without the command's name."""
    for path, text in PAGES.items():
        for block in re.findall(r"^ *```(?:bash|sh|yml|ts|dockerfile)\n(.*?)^ *```", text, re.DOTALL | re.M):
            for found in _IN_BLOCKS.finditer(block.replace("\\\n", " ")):
                yield path, found[1][: _END.search(found[1]).start()]  # type: ignore[union-attr]
        for found in _IN_TEXT.finditer(re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)):
            yield path, " ".join(found[1].split())


def test_every_documented_command_and_option_exists() -> None:
    number = 0
    for path, words in commands():
        name, *rest = shlex.split(words)
        where = f"{path}: output-mock {words}"
        assert name in command.commands, where
        called = command.commands[name]
        context = click.Context(called, info_name=name)
        try:
            _, left, _ = called.make_parser(context).parse_args(rest)
        except click.UsageError as error:
            raise AssertionError(f"{where}: {error.format_message()}") from None
        assert left == [], f"{where}: {left} is too much"
        number += 1
    assert number > 60


def test_every_documented_variable_is_read_by_the_code() -> None:
    known = {CONFIG_VARIABLE, *variables_of(command)}
    files = {**PAGES, **{name: (ROOT / name).read_text() for name in ("Dockerfile", "compose.yaml")}}
    for path, text in files.items():
        assert set(re.findall(r"\bOUTPUT_MOCK_[A-Z0-9_]*[A-Z0-9]\b", text)) <= known, path


def test_the_compose_file_matches_the_documented_one() -> None:
    (shown,) = [
        yaml.safe_load(block)
        for block in re.findall(r"```yml\n(services:.*?)```", PAGES["docs/start/compose.md"], re.DOTALL)
    ]
    own = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["api"]
    theirs = shown["services"]["api"]
    assert (
        own["environment"]["OUTPUT_MOCK_ALLOW_HOST"]
        == theirs["environment"]["OUTPUT_MOCK_ALLOW_HOST"]
        == "api"
    )
    assert (own["build"], theirs["build"]) == (".", "path/to/output-mock")
    for text in ("OUTPUT_MOCK_SCRIPTS: /mock", '"./workflows:/mock:ro"'):
        assert text in (ROOT / "compose.yaml").read_text()
    folder = re.search(r"^WORKDIR (/mock)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert folder

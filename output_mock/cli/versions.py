"""`output-mock versions`: the versions that are known, and what changes for clients between two of them."""

from __future__ import annotations

import textwrap
from typing import Any

import click

from output_mock.contract.versions import (
    CHANGES,
    KNOWN,
    NEXT,
    Change,
    UnknownVersionError,
    next_release,
    number_of,
    resolved,
)

_WIDTH = 100


def version(context: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """The value of an option `--api-version` or `--sdk-version`."""
    if value is not None:
        try:
            resolved(value, "sdk" if param.name == "sdk_version" else "api")
        except UnknownVersionError as error:
            raise click.BadParameter(str(error)) from None
    return value


def version_options(function: Any) -> Any:
    """Add `--api-version` and `--sdk-version` to a command."""
    function = click.option(
        "--sdk-version",
        metavar="VERSION",
        callback=version,
        show_default="that of --api-version",
        help="The version of the workers, such as 0.9 or 0.10, or next for what is not released yet "
        "(unproven).",
    )(function)
    return click.option(
        "--api-version",
        metavar="VERSION",
        callback=version,
        show_default="the newest",
        help="The version of the real server to act as; 0.9 means the newest known 0.9.",
    )(function)


@click.command()
@click.argument("old", metavar="[OLD", required=False)
@click.argument("new", metavar="NEW]", required=False)
def versions(old: str | None, new: str | None) -> None:
    """Say what changes for clients between two versions; without any, list the known ones.

    With one version, the other is the newest. Server (API) and workers (SDK) are upgraded apart, so each
    change says which of the two it comes with.
    """
    if old is None:
        click.echo("\n".join(_listed()))
        return
    try:
        first, last = resolved(old, "sdk"), resolved(new, "sdk")
    except UnknownVersionError as error:
        raise click.UsageError(str(error), click.get_current_context()) from None
    click.echo("\n".join(_changed(first, last)))


def _listed() -> list[str]:
    lines = []
    for one in KNOWN:
        older = KNOWN[KNOWN.index(one) + 1 :]
        number = sum(
            number_of(older[0]) < number_of(change.since) <= number_of(one) for change in CHANGES if older
        )
        what = f"{number} changes for clients" if older else "the oldest that is known"
        lines.append(f"{one:8} {what}{', the newest' if one == KNOWN[0] else ''}")
    return [
        *lines,
        f"{NEXT:8} workers only; not released, and not proven by recordings",
        "",
        f"What changes between two: output-mock versions {KNOWN[-1]} {KNOWN[0]}",
    ]


def _changed(old: str, new: str) -> list[str]:
    """What changes for a client whose deployment goes from one version to another."""
    back = number_of(new) < number_of(old)
    low, high = (new, old) if back else (old, new)
    changes = (*next_release.CHANGES, *CHANGES)
    between = [one for one in changes if number_of(low) < number_of(one.since) <= number_of(high)]
    if not between:
        return [f"Nothing that clients see changes between {old} and {new}."]
    lines = [
        f"From {old} to {new}" + (", the way back: all of this is undone." if back else ", for clients:")
    ]
    for axis, heading in (("api", "with the server (API)"), ("sdk", "with the workers (SDK)")):
        mine = [one for one in reversed(between) if one.axis == axis]
        if mine:
            lines += ["", f"{heading}:"]
            for one in mine:
                lines += _said(one)
    return lines


def _said(change: Change) -> list[str]:
    since = f"  {change.since:7} "
    return textwrap.wrap(change.says, _WIDTH, initial_indent=since, subsequent_indent=" " * len(since))

"""`output-mock client`: clients of the control plane for tests in other languages."""

from __future__ import annotations

from pathlib import Path

import click

# How the files begin that this command has written.
_MARK = "// Written by `output-mock client typescript`"


@click.command()
@click.argument("language", type=click.Choice(["typescript"]))
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--vitest", is_flag=True, help="With fixtures for vitest.")
@click.option("--playwright", is_flag=True, help="With fixtures for Playwright.")
@click.option(
    "--check", is_flag=True, help="Only check the files. The exit status is 1 if they are out of date."
)
def client(language: str, folder: Path, vitest: bool, playwright: bool, check: bool) -> None:
    """Write a typed client of the control plane into DIR, with fixtures for vitest and Playwright.

    It needs Node 18 or a browser, and no other package. Without --vitest and --playwright it has both
    fixtures. Write it again after an upgrade of output-mock: it overwrites what it has written before, and no
    other files.
    """
    from output_mock.typescript import FIXTURES, files

    chosen = {"vitest": vitest, "playwright": playwright}
    tools = [tool for tool in FIXTURES if chosen[tool] or not any(chosen.values())]
    written = files(tools)
    if check:
        old = [name for name, text in written.items() if _content(folder / name) != text]
        if old:
            raise click.ClickException(f"{folder / old[0]} is out of date; run the command without --check")
        click.echo(f"{folder} is up to date")
        return
    for name in written:
        path = folder / name
        if path.exists() and not (_content(path) or "").startswith(_MARK):
            raise click.ClickException(
                f"{path} was not written by this command, and would be overwritten; move it, or choose "
                f"another folder"
            )
    for name, text in written.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
        except OSError as problem:
            raise click.ClickException(f"{folder / name} cannot be written: {problem.strerror}") from None
    click.echo(f"Wrote {', '.join(written)} into {folder}. docs/guides/typescript.md shows how to use them.")


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None

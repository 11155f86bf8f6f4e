"""`output-mock pack`: the workflows that `verify` runs, in TypeScript, for a deployment of one's own."""

from __future__ import annotations

from pathlib import Path

import click

from output_mock import contract_suite

_NEXT = """\
Wrote {number} files into {folder}. They are workflows for an Output project: put the folder under its
src/workflows/, build and deploy it, then run

    output-mock verify URL --token T

and take it out again when there is nothing more to check. They call no model and nothing outside."""


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite files that are different.")
def pack(folder: Path, force: bool) -> None:
    """Write the workflows that `output-mock verify` runs into DIR, as TypeScript for an Output project.

    Use it for deployments whose Temporal you cannot reach. For others, use `verify --temporal`.
    """
    source = contract_suite.folder() / "typescript"
    files = {path.relative_to(source): path.read_bytes() for path in sorted(source.rglob("*.ts"))}
    kept = [name for name, content in files.items() if _differs(folder / name, content)]
    if kept and not force:
        raise click.ClickException(
            f"{folder / kept[0]} is there and different; choose another folder, or overwrite it with --force"
        )
    for name, content in files.items():
        target = folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        except OSError as problem:
            raise click.ClickException(f"{target} cannot be written: {problem.strerror}") from None
    click.echo(_NEXT.format(number=len(files), folder=folder))


def _differs(path: Path, content: bytes) -> bool:
    return path.exists() and (not path.is_file() or path.read_bytes() != content)

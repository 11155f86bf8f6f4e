"""`output-mock pack`: the workflows that `verify` runs, in TypeScript, for your own deployment."""

from __future__ import annotations

from pathlib import Path

import click

from output_mock import contract_suite

_NEXT = """\
Wrote {number} files into {folder}. They are workflows for an Output project.

Put the folder under its src/workflows/, build and deploy the project, then run output-mock verify URL
--token T. Remove the folder when you have finished checking. The workflows call no models and no other
services."""


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite existing files that are different.")
def pack(folder: Path, force: bool) -> None:
    """Write the workflows that `output-mock verify` runs into DIR, as TypeScript for an Output project.

    Use it for deployments whose Temporal you cannot reach. For others, use `verify --temporal`.
    """
    source = contract_suite.folder() / "typescript"
    files = {path.relative_to(source): path.read_bytes() for path in sorted(source.rglob("*.ts"))}
    kept = [name for name, content in files.items() if _differs(folder / name, content)]
    if kept and not force:
        raise click.ClickException(
            f"{folder / kept[0]} exists and is different; choose another folder, or overwrite it with --force"
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

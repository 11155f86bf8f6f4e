"""Makes the fakes of `serve`: each world is made as the options say, with the served scripts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from output_mock import contract_suite
from output_mock.cli import environment
from output_mock.cli.script_files import sound_files
from output_mock.cli.trace_storage import TraceStorage
from output_mock.durations import Duration

if TYPE_CHECKING:
    from output_mock.control.worlds import Worlds
    from output_mock.engine.clock import Mode
    from output_mock.mock import OutputMock
    from output_mock.scripts.script import Scripted
    from output_mock.traces.past import PastFile


@dataclass(frozen=True)
class ServeOptions:
    """The options of `serve`, as on its command line."""

    scripts: tuple[str, ...]
    pack: bool
    host: str
    port: int | None
    clock: Mode
    catalog: str
    auth_token: str | None
    seed: int
    api_version: str | None
    sdk_version: str | None
    execution_timeout: Duration
    list_lag: Duration
    script_limit: Duration
    worker_down: tuple[str, ...]
    control_token: str | None
    allow_host: tuple[str, ...]
    allow_origin: tuple[str, ...]
    cors: tuple[str, ...]
    callback_host: tuple[str, ...]
    faults: tuple[str, ...]
    journal: int
    keep_runs: int
    worlds: int
    world_ttl: float | None
    timing: bool
    log_format: str
    quiet: bool
    no_health_log: bool
    trace_dir: str | None
    past: Path | None
    s3: str | None
    state_file: Path | None
    watch: bool


class ServedWorlds:
    """Makes the fakes of one server, which share the limit of kept runs and the trace storage.

    `loaded` has the workflows of each file, once `first` was called. Raises `ClickException` for options
    that do not fit together. Close `keeping` at the end.
    """

    def __init__(self, options: ServeOptions, token: str | None) -> None:
        from output_mock.engine.kept_runs import KeptRuns

        self._options = options
        self._token = token
        self._max_waiting = _milliseconds("TEMPORAL_WORKFLOW_EXECUTION_MAX_WAITING", "5m")
        self._history_max_waiting = _milliseconds("TEMPORAL_HISTORY_MAX_WAIT_TIMEOUT_MS", "15s")
        self.keeping: TraceStorage = _keeping(options.trace_dir, options.s3)
        self._past = [] if options.past is None else _past(options.past)
        self._kept_runs = KeptRuns(options.keep_runs)
        self.loaded: dict[str, list[Scripted]] = {}

    def first(self) -> OutputMock:
        """The fake of the default world, with the workflows of the files."""
        from output_mock.contract.errors import OutputError

        mock = self._bare({})
        self.loaded = _offered(self._options.scripts, pack=self._options.pack)
        for path, found in self.loaded.items():
            try:
                for one in found:
                    mock.load(one)
            except (ValueError, OutputError) as error:
                raise click.ClickException(f"{path}: {error}") from error
        return self._without_workers(mock)

    def another(self, options: Mapping[str, Any]) -> OutputMock:
        """The fake of another world, with the options of the request that makes it."""
        mock = self._bare(options)
        if options.get("scripts") != "none":
            for found in self.loaded.values():
                for script in found:
                    mock.load(script)
        return self._without_workers(mock)

    def with_scripts(self, held: Worlds) -> dict[str, OutputMock]:
        """The other worlds that have the server's scripts."""
        return {
            one.name: one.mock
            for one in held
            if one is not held.default and one.options.get("scripts") != "none"
        }

    def _bare(self, options: Mapping[str, Any]) -> OutputMock:
        from output_mock.control.worlds import DEFAULT
        from output_mock.mock import OutputMock

        told = self._options
        api, sdk = told.api_version, told.sdk_version
        if options.get("apiVersion") is not None:
            # If a world has its own server version, its workers have that version, not the one of the
            # command line.
            api, sdk = options["apiVersion"], None
        made = OutputMock(
            clock=options.get("clock", told.clock),
            seed=options.get("seed", told.seed),
            catalog=options.get("catalog", told.catalog),
            auth_token=self._token,
            execution_timeout=options.get("executionTimeout", told.execution_timeout),
            max_waiting=self._max_waiting,
            history_max_waiting=self._history_max_waiting,
            list_lag=told.list_lag,
            script_limit=told.script_limit,
            traces=self.keeping.traces(options.get("world", DEFAULT)),
            keep_runs=self._kept_runs,
            api_version=api,
            sdk_version=options.get("sdkVersion", sdk),
            callback_hosts=told.callback_host,
        )
        made.app.calls.most = told.journal
        made.app.timing = told.timing
        made.app.api.cors_origins = frozenset(told.cors) if told.cors else None
        # A script that names a namespace keeps it.
        made.world.namespace = os.environ.get("TEMPORAL_NAMESPACE") or made.world.namespace
        for name in told.faults:
            made.faults.preset(name)
        if self._past:
            from output_mock.traces.past import load_past

            load_past(made.world, self._past)
        return made

    def _without_workers(self, mock: OutputMock) -> OutputMock:
        for name in self._options.worker_down:
            mock.add_catalog(name, worker=False)
        return mock


def _offered(scripts: Sequence[str], *, pack: bool) -> dict[str, list[Scripted]]:
    """The workflows of the files, or the demonstration, by the name of each source."""
    loaded = sound_files(scripts)
    if pack:
        try:
            contract_suite.load()
        except contract_suite.SuiteError as problem:
            raise click.ClickException(f"--pack: {problem}") from None
        from output_contract.pack import script as packed

        loaded["--pack"] = [packed]
    if not loaded:
        from output_mock.scripts.demo import script as demonstration

        loaded["the demonstration"] = [demonstration]
    return loaded


def _milliseconds(name: str, default: Duration) -> Duration:
    """The duration that a variable of the real container sets."""
    text = os.environ.get(name)
    if not text:
        return default
    try:
        return environment.milliseconds(text)
    except ValueError as error:
        raise click.UsageError(f"Invalid value for '{name}': {error}", click.get_current_context()) from None


def _past(folder: Path) -> list[PastFile]:
    """The past traces. Warns about files that are wrong."""
    from output_mock.traces.past import read_past
    from output_mock.traces.reading import NoTrace

    try:
        files, problems = read_past(folder)
    except NoTrace as error:
        raise click.ClickException(str(error)) from None
    for problem in problems:
        click.echo(f"warning: {problem}; this trace is left out", err=True)
    return files


def _keeping(trace_dir: str | None, s3: str | None) -> TraceStorage:
    from output_mock.traces.s3 import S3Missing

    try:
        return TraceStorage(os.environ, trace_dir, s3)
    except ValueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from None
    except S3Missing as error:
        raise click.ClickException(str(error)) from None

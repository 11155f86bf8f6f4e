"""Fakes in the places where tests reach them: in process, on the session's server, or made to last longer."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from types import CodeType
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

import pytest

from output_mock import OutputMock
from output_mock.report import calls, complaint, runs, sections, unforeseen
from output_mock.server import running
from output_mock.virtual_time import VirtualTime, virtual_time
from output_mock.virtual_time.wall_sleeps import WallSleeps

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from output_mock.http.app import OutputApp
    from pytest_output.settings import Settings

URL_VARIABLE = "OUTPUT_API_URL"
TOKEN_VARIABLE = "OUTPUT_API_AUTH_TOKEN"


@contextmanager
def environment(url: str, token: str | None) -> Iterator[None]:
    """Tell programs where the API is, as deployments do, and put back what was there."""
    values = {URL_VARIABLE: url} if token is None else {URL_VARIABLE: url, TOKEN_VARIABLE: token}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def in_process(wanted: Settings) -> Iterator[OutputMock]:
    """A fresh fake that `requests` and `httpx` reach without a socket."""
    mock = OutputMock(**wanted.options)
    with mock.in_process(wanted.url) as url, _living(mock, url, wanted):
        yield mock


@contextmanager
def staged(stage: Stage, wanted: Settings) -> Iterator[OutputMock]:
    """A fresh fake that is reached through the session's server."""
    mock = OutputMock(**wanted.options)
    with stage.showing(mock) as url, _living(mock, url, wanted):
        yield mock


@contextmanager
def _living(mock: OutputMock, url: str, wanted: Settings) -> Iterator[None]:
    time: AbstractContextManager[object]
    if wanted.virtual:
        time = virtual_time(mock.app, wanted.modules, wanted.stuck_after)
    else:
        time = WallSleeps().measured() if mock.clock.mode != "real" else nullcontext()
    try:
        with environment(url, mock.app.api.auth_token), time as kept:
            _times[mock] = kept
            yield
    finally:
        mock.close()


# What moves a fake's clock, or measures how long the test sleeps.
_times: WeakKeyDictionary[OutputMock, object] = WeakKeyDictionary()
# The title of the section about how long a test has slept.
SLEPT = "output_mock: time slept for real"


class FakeOfTest:
    """A test's fake, and what the test's settings demand of it at the end."""

    def __init__(self, mock: OutputMock, wanted: Settings, function: object, *, in_process: bool) -> None:
        self._mock = mock
        self._in_process = in_process
        self._url = mock.url
        self._wanted = wanted
        self._function = function
        self._kept: list[tuple[str, str]] = []

    def play_what_is_due(self) -> None:
        """Begin every run that no request has asked about, so that mistakes in its script show."""
        if self._wanted.strict or self._wanted.unused != "report":
            self._mock.world.play_what_is_due()

    def warn(self) -> None:
        """Warn of timeouts that can never pass.

        No test fails for it, even where warnings are errors: the real workflow may be the same. There is no
        warning about other things that take longer than the run may, as that is how you script a run that
        times out.
        """
        for text, is_timeout in self._mock.world.outlasting.copy().values():
            if is_timeout:
                try:
                    warnings.warn(text, pytest.PytestWarning, stacklevel=1)
                except pytest.PytestWarning:
                    with warnings.catch_warnings():
                        warnings.simplefilter("always")
                        warnings.warn(text, pytest.PytestWarning, stacklevel=1)

    def _is_own(self, place: str) -> bool:
        """Whether a place lies in the test function itself, not in a fixture, a helper or a script file."""
        code = getattr(_written(self._function), "__code__", None)
        file, _, line = place.rpartition(", line ")
        if not isinstance(code, CodeType) or file != code.co_filename or not line.isdigit():
            return False
        return code.co_firstlineno <= int(line) <= _last_line(code)

    def slept(self) -> list[tuple[str, str]]:
        """The title and text of the report's section about a test that slept for long, passed or not."""
        time = _times.get(self._mock)
        told = time.told() if isinstance(time, WallSleeps) else None
        return [] if told is None else [(SLEPT, told)]

    def complaint(self) -> str | None:
        """The message that the test fails with because of its settings; None when nothing is wrong."""
        wanted, time = self._wanted, _times.get(self._mock)
        if isinstance(time, VirtualTime) and time.problem is not None:
            # The code under test has caught the error.
            return time.problem
        return complaint(self._mock, self._is_own, strict=wanted.strict, unused=wanted.unused)

    def sections(self, error: BaseException | None = None) -> list[tuple[str, str]]:
        """Titles and texts for the report of a failed test. `error` is what the test failed with."""
        if self._kept:
            return self._kept
        found = sections(self._mock, self._is_own)
        from pytest_output.unreached import hint, refused

        if not self._mock.calls or (self._in_process and refused(self._url, error)):
            title = f"output_mock: why no {'other ' if self._mock.calls else ''}calls"
            found.insert(1, (title, hint(self._url, error, in_process=self._in_process)))
        return found

    def keep_sections(self) -> None:
        """Keep the sections for the report before the fake is closed, as closing it ends runs that wait."""
        self._kept = self.sections()


def _written(function: object) -> object:
    """The test as it is written, without decorators."""
    while True:
        function = inspect.unwrap(cast("Any", function))
        inner = getattr(getattr(function, "hypothesis", None), "inner_test", None)
        if inner is None:
            return function
        function = inner


def _last_line(code: CodeType) -> int:
    lines = [line for _, _, line in code.co_lines() if line is not None]
    inner = [_last_line(const) for const in code.co_consts if isinstance(const, CodeType)]
    return max([code.co_firstlineno, *lines, *inner])


class Stage:
    """The session's server, which serves the fake of one test after the other."""

    def __init__(self) -> None:
        # Requests that come while no test has a fake, or late, get this empty one.
        self._empty = OutputMock()
        self._app: OutputApp = self._empty.app
        self.url = ""

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Stage]:
        """A stage that is served while the block runs."""
        stage = cls()
        with running(stage) as url:
            stage.url = url
            yield stage

    def wake_all_waiters(self) -> None:
        """Wake all requests that wait for something of the current fake."""
        self._app.wake_all_waiters()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._app(environ, start_response)

    @contextmanager
    def showing(self, mock: OutputMock) -> Iterator[str]:
        """Let this fake answer while the block runs, and yield the URL."""
        self._app = mock.app
        try:
            with mock.reached_by(self.url):
                yield self.url
        finally:
            self._app = self._empty.app


class Fakes:
    """Makes fakes that live until it is closed."""

    def __init__(self, defaults: Mapping[str, Any]) -> None:
        self._defaults = defaults
        self._open = ExitStack()
        # What was found so far that no script foresaw, for each fake.
        self._known: dict[OutputMock, dict[int, object]] = {}
        # For each fake, the number of its last call before the current test.
        self._before: dict[OutputMock, int] = {}

    def __call__(self, *, serve: bool = False, url: str | None = None, **options: Any) -> OutputMock:
        """Make a fake that is reached in process (at `url`, if given), or, with `serve`, on a socket of its
        own.

        Takes the `options` of `OutputMock`; the ini file gives the defaults. Its URL is `.url`;
        `OUTPUT_API_URL` does not change. Raises `TypeError` and `ValueError` for invalid options.
        """
        mock = OutputMock(**{**self._defaults, **options})
        self._known[mock] = {}
        self._open.callback(mock.close)
        place: Callable[[], Any] = mock.serve if serve else lambda: mock.in_process(url)
        self._open.enter_context(place())
        return mock

    def begin_test(self) -> None:
        """Note that a test begins, whose report is to have its own calls only."""
        self._before = {mock: made[-1].number for mock in self._known if (made := mock.calls)}

    def sections(self) -> list[tuple[str, str]]:
        """Titles and texts for the report of a failed test: its calls, and where the runs stand.

        Fakes that it has not called are left out.
        """
        found = []
        for mock in self._known:
            before = self._before.get(mock, 0)
            own = [call for call in mock.calls if call.number > before]
            if own:
                found.append((f"output_mock: calls of the fake at {mock.url}", calls(mock, own)))
                found.append((f"output_mock: runs of the fake at {mock.url}", runs(mock)))
        return found

    def complaint(self) -> str | None:
        """What no script foresaw since this was last asked, as a message; None if there is nothing."""
        found = [
            f"the fake at {mock.url}, which a factory made: {words}"
            for mock, known in self._known.items()
            if (words := unforeseen(mock, known)) is not None
        ]
        return "\n\n".join(found) or None

    def play_what_is_due(self) -> None:
        """Begin every run that no request has asked about, so that mistakes in its script show."""
        for mock in self._known:
            mock.world.play_what_is_due()

    def __enter__(self) -> Fakes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()


def reachable(url: str) -> None:
    """Fail the test unless an Output API answers at `url`."""
    from output_mock.health import health_problem

    problem = health_problem(url, 5)
    if problem is not None:
        pytest.fail(f"--output-url {url}: GET /health: {problem}", pytrace=False)

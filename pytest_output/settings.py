"""The settings of a test's fake, from the command line, the ini file and the test's markers."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from output_mock.report import UnusedPolicy

# The arguments of the marker that have an ini option for their default: its type, and what it sets.
INI = {
    "clock": ("string", "How time passes: auto (default), manual or real."),
    "seed": (
        "string",
        "The seed of ids and of everything random: a whole number (default: 0), or random for a new one "
        "each session.",
    ),
    "api_version": (
        "string",
        "The version of the server that the fake stands in for, such as 0.9 (default: the newest); all runs "
        "the test with each.",
    ),
    "sdk_version": ("string", "The version of its workers (default: that of api_version); or all."),
    "catalog": ("string", "The catalog that is used when a request names none (default: main)."),
    "auth_token": (
        "string",
        "The token that requests must send (default: none). OUTPUT_API_AUTH_TOKEN is set to it for the test.",
    ),
    "scripts": (
        "paths",
        "Script files, Python or YAML, to load. A path is relative to the ini file, or to the test's file "
        "in a marker. The marker also takes Script objects.",
    ),
    "sleep": (
        "args",
        "virtual: when your code sleeps, the fake's clock moves, and no real time passes. Or a list of the "
        "modules for which this holds. Default: real.",
    ),
    "stuck_after": (
        "string",
        "How long, in real time, the same thing may hold up virtual time before the test fails (default: "
        "10s).",
    ),
    "strict": (
        "bool",
        "Whether a test fails at its end for requests that no script matches, and for mistakes in scripts "
        "(default: true).",
    ),
    "unused": (
        "string",
        "What happens if a script was never used: error (default) fails the test for scripts that the test "
        "itself wrote; all also counts fixtures and script files; report only lists them when a test fails "
        "for another reason.",
    ),
    "url": (
        "string",
        "The URL at which output_mock answers (default: a loopback address where nothing listens).",
    ),
    "callback_hosts": (
        "args",
        "The hosts, besides this machine, that requests of workflows may go to (default: none).",
    ),
    "execution_timeout": ("string", "How long a run may take (default: 24h)."),
    "max_waiting": ("string", "How long /workflow/run waits if the request does not say (default: 5m)."),
    "list_lag": (
        "string",
        "How late /workflow/runs shows that a run has started or ended (default: 0s; about 0.2s on a real "
        "deployment).",
    ),
    "history_max_waiting": ("string", "How long a long poll waits at most (default: 15s)."),
    "script_limit": (
        "string",
        "How long a script may compute or block at a time before it is stopped (default: 2s).",
    ),
}
# What each argument of the marker sets.
ABOUT = {
    **{name: about for name, (_, about) in INI.items()},
    "start": "When a virtual clock starts: a datetime (default: 1 January 2026).",
}
NAMES = tuple(ABOUT)
# What is not passed on to `OutputMock`.
_OWN = ("sleep", "strict", "stuck_after", "unused", "url")
_UNUSED = ("error", "all", "report")


def add_options(parser: pytest.Parser) -> None:
    """Add the command line's options and the ini file's."""
    group = parser.getgroup("output", "fakes of the Output API")
    group.addoption(
        "--output-url",
        metavar="URL",
        help="Run against the server at URL, which is already running. The fixture output_url gives this "
        "URL, and tests that script a fake are skipped.",
    )
    group.addoption("--output-token", metavar="TOKEN", help="The token for the server of --output-url.")
    group.addoption(
        "--output-seed",
        metavar="N",
        help="The seed of every fake, to repeat a failure; random takes a new one.",
    )
    for name, (kind, about) in INI.items():
        parser.addini(f"output_{name}", about, type=kind, default=None)  # type: ignore[arg-type]


def check_command_line(config: pytest.Config) -> None:
    """Choose random seeds. Raises `pytest.UsageError` for options that make no sense."""
    config.stash[SEEDS] = _seed(config.option.output_seed), _seed(config.getini("output_seed"))
    _check_sleep(config.getini("output_sleep"))
    url = config.getoption("output_url")
    if url is None:
        if config.getoption("output_token") is not None:
            raise pytest.UsageError(
                "--output-token is the token of the server at --output-url; give --output-url as well"
            )
    elif not url.startswith(("http://", "https://")):
        raise pytest.UsageError(f"--output-url must be the base URL of a server, http(s)://…, not {url!r}")


# The seeds of the command line and of the ini file, where they are given.
SEEDS: pytest.StashKey[tuple[str | None, str | None]] = pytest.StashKey()


def _seed(text: str | None) -> str | None:
    if text == "random":
        import secrets

        return str(secrets.randbelow(10**6))
    if text is not None and not (text.isascii() and text.isdigit()):
        raise pytest.UsageError(f"the seed of fakes must be a whole number, or random, not {text!r}")
    return text


def check_markers(item: pytest.Item) -> None:
    """Fail a test whose marker is wrong."""
    for marker in item.iter_markers("output"):
        where = f"@pytest.mark.output of {item.nodeid}"
        if marker.args:
            pytest.fail(f"{where}: give arguments by name, such as clock='manual'", pytrace=False)
        for name in marker.kwargs:
            if name not in NAMES:
                from output_mock.suggestions import nearest

                meant = nearest(name, NAMES) or "."
                pytest.fail(
                    f"{where}: unknown argument {name!r}{meant} It takes {', '.join(NAMES)}.", pytrace=False
                )


class Settings:
    """The settings of a fake. `options` are those of `OutputMock`, the others are the plugin's own."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.options: dict[str, Any] = {name: value for name, value in given.items() if name not in _OWN}
        self.strict: bool = given.get("strict", True)
        # By default as strict: a test that is not strict may well leave scripts unused.
        self.unused: UnusedPolicy = given.get("unused", "error" if self.strict else "report")
        if self.unused not in _UNUSED:
            raise ValueError(f"unused must be one of {', '.join(_UNUSED)}, not {self.unused!r}")
        self.url: str | None = given.get("url")
        self.stuck_after: Any = given.get("stuck_after", "10s")
        sleep = given.get("sleep")
        if isinstance(sleep, str):
            sleep = [sleep]
        self.virtual: bool = bool(sleep) and sleep != ["real"]
        # The modules for which time is virtual; empty for all.
        self.modules: tuple[str, ...] = ()
        if self.virtual and sleep != ["virtual"]:
            self.modules = tuple(_module_name(one) for one in sleep or ())


_SLEEPS = ("virtual", "real")


def _module_name(module: Any) -> str:
    if inspect.ismodule(module):
        return module.__name__
    kinds = "sleep must be 'virtual', 'real', or a list of modules and their names"
    if not isinstance(module, str) or module in _SLEEPS:
        raise ValueError(f"{kinds}, and {module!r} is none of these")
    if not _is_module(module):
        from output_mock.suggestions import nearest

        meant = nearest(module, _SLEEPS)
        raise ValueError(f"{kinds}; there is no module {module!r}{meant or ' that can be imported'}")
    return module


def _is_module(name: str) -> bool:
    """Whether there is a module of this name, or one can be imported."""
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, AttributeError, ValueError):
        return False


def _check_sleep(sleep: Sequence[str] | None) -> None:
    """Refuse a misspelt `virtual` or `real`. Other modules are looked up in each test."""
    from difflib import get_close_matches

    for name in sleep or ():
        if name not in _SLEEPS and get_close_matches(name, _SLEEPS) and not _is_module(name):
            try:
                _module_name(name)
            except ValueError as error:
                raise pytest.UsageError(f"output_sleep: {error}") from None


# The parameter of a test that runs against several versions.
VERSIONS = "_output_versions"
_EVERY = "all"
_VERSIONS = ("api_version", "sdk_version")


def add_versions(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each version, if it has a fake and its settings say so."""
    if not {"output_mock", "output_server"} & set(metafunc.fixturenames):
        return
    wanted: dict[str, Any] = {}
    for name in _VERSIONS:
        wanted[name] = metafunc.config.getini(f"output_{name}")
        for marker in metafunc.definition.iter_markers("output"):
            if name in marker.kwargs:
                wanted[name] = marker.kwargs[name]
                break
    if _EVERY not in wanted.values():
        return
    from output_mock.contract.versions import KNOWN

    servers = KNOWN if wanted["api_version"] == _EVERY else (wanted["api_version"],)
    workers = KNOWN if wanted["sdk_version"] == _EVERY else (wanted["sdk_version"],)
    pairs = [{"api_version": api, "sdk_version": sdk} for api in servers for sdk in workers]
    metafunc.fixturenames.append(VERSIONS)
    metafunc.parametrize(VERSIONS, pairs, ids=map(_named, pairs), indirect=True)


def _named(versions: Mapping[str, str | None]) -> str:
    api, sdk = versions["api_version"], versions["sdk_version"]
    return ",".join(f"{axis} {one}" for axis, one in (("API", api), ("SDK", sdk)) if one is not None)


_SESSION: pytest.StashKey[dict[str, Any]] = pytest.StashKey()


def of_session(config: pytest.Config) -> dict[str, Any]:
    """What the command line and the ini file say. A fake of many tests has one version, never `all`."""
    found = config.stash.get(_SESSION, None)
    if found is None:
        found = config.stash[_SESSION] = _of_session(config)
    return {name: value for name, value in found.items() if name not in _VERSIONS or value != _EVERY}


def _of_session(config: pytest.Config) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in INI:
        value = config.getini(f"output_{name}")
        if value is not None and value != []:
            found[name] = value
    given, usual = config.stash[SEEDS]
    seed = given or usual
    if seed is not None:
        found["seed"] = int(seed)
    return found


def of_test(node: pytest.Item, config: pytest.Config) -> Settings:
    """What is said for a test: its markers lie over its class's and module's, those over the session's."""
    found = of_session(config)
    for marker in reversed(list(node.iter_markers("output"))):
        found.update(marker.kwargs)
    callspec = getattr(node, "callspec", None)
    if callspec is not None and VERSIONS in callspec.params:
        found.update(callspec.params[VERSIONS])
    given, _ = config.stash[SEEDS]
    if given is not None:
        # To replay a failure it has to be this one.
        found["seed"] = int(given)
    folder = node.path.parent
    scripts = found.get("scripts", ())
    if isinstance(scripts, (list, tuple)):
        found["scripts"] = [_beside(folder, script) for script in scripts]
    return Settings(found)


def _beside(folder: Path, script: Any) -> Any:
    """A script file that is named by a marker lies beside the test's."""
    return folder / script if isinstance(script, str) else script

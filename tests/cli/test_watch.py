"""`serve --watch`, and replacing the workflows of a script."""

from __future__ import annotations

import os
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from output_mock import OutputMock, Script
from output_mock.cli.script_files import loaded_files
from output_mock.cli.watch import Watcher
from output_mock.scripts.script import replace
from output_mock.scripts.yaml.document import read
from tests.cli.test_cli import Serve, run, serve, until  # noqa: F401  (a fixture)
from tests.client import Client


def script_of(text: str) -> Script:
    return read(textwrap.dedent(text), "f.yaml")


def names(mock: OutputMock, catalog: str = "main") -> list[str]:
    return list(mock.world.catalogs[catalog].names)


# --- replacing -------------------------------------------------------------------------------------------


def test_replacing_a_script_removes_its_old_workflows_and_adds_the_new() -> None:
    old = script_of("workflows: [{name: a, aliases: x, returns: 1}, {name: b, returns: 1}]")
    new = script_of("workflows: [{name: b, aliases: x, returns: 2}, {name: c, returns: 2}]")
    mock = OutputMock(scripts=[old])
    mock.workflow("other").returns(0)
    replace(mock.world, [old], [new])
    assert sorted(names(mock)) == ["b", "c", "other", "x"]
    client = Client(mock)
    assert [client.run(name)["output"] for name in ("x", "b", "c", "other")] == [2, 2, 2, 0]


def test_runs_in_progress_finish_with_their_old_script() -> None:
    text = (
        "workflows: [{{name: w, steps: [{{wait_for_signal: go}}, {{step: {0}}}], "
        "queries: {{q: {{returns: {0}}}}}, returns: {0}}}]"
    )
    old, new = (script_of(text.format(word)) for word in ("old", "new"))
    mock = OutputMock(scripts=[old])
    client = Client(mock)
    client.start("w", workflowId="before")
    client.get("/workflow/before/status")
    replace(mock.world, [old], [new])
    client.start("w", workflowId="after")
    for workflow_id, expected in [("before", "old"), ("after", "new")]:
        assert client.post(f"/workflow/{workflow_id}/query/q").json == expected
        client.post(f"/workflow/{workflow_id}/signal/go")
        assert client.until_closed(workflow_id) == "completed"
        assert mock.runs[workflow_id].output == expected
        assert f"w#{expected}" in str(mock.runs[workflow_id].history)
    replace(mock.world, [new], [script_of("workflows: [{name: v, returns: 1}]")])
    assert client.post("/workflow/before/query/q").json == "old"


def test_a_name_clash_with_another_script_changes_nothing() -> None:
    old = script_of("workflows: [{name: a, returns: 1}, {name: b, aliases: x, returns: 1}]")
    mock = OutputMock(scripts=[old])
    mock.workflow("other", aliases=["taken"]).returns(0)
    before = dict(mock.world.catalogs["main"].names)
    with pytest.raises(ValueError, match="'taken' already names workflow 'other'"):
        replace(
            mock.world, [old], [script_of("workflows: [{name: c, returns: 1}, {name: taken, returns: 1}]")]
        )
    assert dict(mock.world.catalogs["main"].names) == before
    assert Client(mock).run("x")["output"] == 1


def test_catalogs_and_workers_follow_the_script() -> None:
    old = script_of("worker_down: [away, gone]\nworkflows: [{name: a, returns: 1}]")
    mock = OutputMock(scripts=[old])
    new = script_of("catalogs: [two]\nworker_down: [gone, new]\nworkflows: [{name: a, returns: 1}]")
    replace(mock.world, [old], [new])
    workers = {name: catalog.worker for name, catalog in mock.world.catalogs.items()}
    assert workers == {"main": True, "away": True, "gone": False, "two": True, "new": False}
    assert (names(mock), names(mock, "two")) == ([], ["a"])


def test_a_script_can_be_replaced_while_the_world_is_busy() -> None:
    scripts = [script_of(f"workflows: [{{name: w, aliases: v, returns: {n}}}]") for n in range(2)]
    mock = OutputMock(scripts=[scripts[0]])
    ended = threading.Event()
    seen: set[Any] = set()

    def ask() -> None:
        client = Client(mock)
        while not ended.is_set():
            seen.add(client.run("v")["output"])

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(200):
        replace(mock.world, [scripts[n % 2]], [scripts[1 - n % 2]])
    ended.set()
    for thread in threads:
        thread.join()
    assert seen <= {0, 1}


# --- watching --------------------------------------------------------------------------------------------


class Watched:
    """A fake whose files are watched, and the messages about them."""

    def __init__(self, folder: Path, files: tuple[str, ...]) -> None:
        self.folder = folder
        self.mock = OutputMock()
        self.told: list[str] = []
        self.watcher = Watcher(files)
        loaded, problems = loaded_files(files)
        assert not problems
        for scripts in loaded.values():
            for script in scripts:
                self.mock.load(script)
        self.watcher.begin(self.mock, loaded, self.told.append)
        self.client: Client = Client(self.mock)

    def write(self, name: str, text: str) -> None:
        file = self.folder / name
        file.write_text(text)
        # Do not depend on the resolution of the file system's clock.
        later = os.stat(file).st_mtime_ns + 1_000_000 * (len(self.told) + 1)
        os.utime(file, ns=(later, later))

    def until_told(self, words: str) -> None:
        until(lambda: any(words in line for line in self.told))


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Watched]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("output_mock.cli.watch._LOOK", 0.01)
    begun: list[Watched] = []

    def begin(**files: str) -> Watched:
        written = tuple(name.replace("__", ".") for name in files)
        for name, text in zip(written, files.values(), strict=True):
            (tmp_path / name).write_text(text)
        begun.append(Watched(tmp_path, written))
        return begun[-1]

    yield begin
    for one in begun:
        one.watcher.close()
        one.mock.close()


def test_a_changed_file_is_loaded(watch: Callable[..., Watched]) -> None:
    fake = watch(a__yaml="workflows: [{name: w, returns: old}, {name: x, returns: 1}]")
    fake.write("a.yaml", "workflows: [{name: w, returns: new}]")
    fake.until_told("a.yaml: loaded, 1 workflow")
    assert fake.client.run("w")["output"] == "new"
    assert names(fake.mock) == ["w"]


def test_a_python_file_is_loaded_too(watch: Callable[..., Watched]) -> None:
    text = "from output_mock import Script\nscript = Script()\nscript.workflow('w').returns({})\n"
    fake = watch(a__py=text.format(1))
    fake.write("a.py", text.format(2))
    fake.until_told("a.py: loaded, 1 workflow")
    assert fake.client.run("w")["output"] == 2


def test_a_broken_file_leaves_the_last_good_version(watch: Callable[..., Watched]) -> None:
    fake = watch(a__yaml="workflows: [{name: w, returns: old}]")
    fake.write("a.yaml", "workflows: [{name: w, retruns: 1, zzz: 2}]")
    fake.until_told("a.yaml: not loaded; its old workflows are still served")
    assert [line.partition(": ")[0] for line in fake.told[:3]] == [
        "a.yaml:1:13",
        "a.yaml:1:23",
        "a.yaml:1:35",
    ]
    assert fake.client.run("w")["output"] == "old"
    fake.write("a.yaml", "workflows: [{name: w, returns: mended}]")
    fake.until_told("loaded, 1")
    assert fake.client.run("w")["output"] == "mended"


def test_a_name_clash_with_another_file_leaves_the_last_good_version(watch: Callable[..., Watched]) -> None:
    fake = watch(
        a__yaml="workflows: [{name: w, returns: old}]",
        b__yaml="workflows: [{name: v, aliases: x, returns: 1}]",
    )
    fake.write("a.yaml", "workflows: [{name: x, returns: new}]")
    fake.until_told("not loaded")
    assert "'x' already names workflow 'v'" in fake.told[0]
    assert sorted(names(fake.mock)) == ["v", "w", "x"]


def test_a_child_that_was_removed_from_the_scripts_is_reported(watch: Callable[..., Watched]) -> None:
    fake = watch(
        a__yaml="workflows: [{name: w, steps: [{child: v}]}]", b__yaml="workflows: [{name: v, returns: 1}]"
    )
    fake.write("b.yaml", "workflows: [{name: u, returns: 1}]")
    fake.until_told("b.yaml: not loaded")
    assert "a.yaml:1:39: there is no workflow 'v' to run as a child" in fake.told[0]
    fake.write("a.yaml", "workflows: [{name: w, steps: [{child: v, input: 1}]}]")
    fake.until_told("a.yaml: loaded")


def test_a_missing_file_is_reported_and_loaded_when_it_returns(watch: Callable[..., Watched]) -> None:
    fake = watch(a__yaml="workflows: [{name: w, returns: old}]")
    (fake.folder / "a.yaml").unlink()
    fake.until_told("there is no such file")
    assert fake.client.run("w")["output"] == "old"
    fake.write("a.yaml", "workflows: [{name: w, returns: new}]")
    fake.until_told("a.yaml: loaded")
    assert fake.client.run("w")["output"] == "new"


def test_an_initial_run_is_not_started_again(watch: Callable[..., Watched]) -> None:
    text = "workflows: [{{name: w, returns: {}}}]\nbegin_with: [{{workflow: w, workflow_id: first}}]"
    fake = watch(a__yaml=text.format(1))
    fake.mock.clock.run_due()
    run_id = fake.mock.runs["first"].run_id
    fake.write("a.yaml", text.format(2))
    fake.until_told("loaded")
    assert fake.mock.runs["first"].run_id == run_id


def test_serve_with_watch_reloads_changed_files(serve: Serve, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "a.yaml"
    file.write_text("workflows: [{name: w, returns: old}]")
    fake = serve("a.yaml", "--watch")
    first = fake.ask("POST", "/w/before/workflow/run", {"workflowName": "w"}).json
    assert first["output"] == "old"
    bare = fake.ask("POST", "/__mock__/worlds", {"name": "bare", "scripts": "none"})
    assert bare.status == 201, bare
    file.write_text("workflows: [{name: w, returns: newer}]")

    def output() -> Any:
        return fake.ask("POST", "/workflow/run", {"workflowName": "w"}).json["output"]

    def output_in(world: str) -> Any:
        return fake.ask("POST", f"/w/{world}/workflow/run", {"workflowName": "w"}).json["output"]

    until(lambda: output() == "newer")
    until(lambda: "a.yaml: loaded, 1 workflow\n" in fake.log)
    # The same holds for existing worlds, unless they have their own scripts.
    until(lambda: output_in("before") == "newer")
    own = {"workflowName": "w", "workflowId": "own"}
    assert fake.ask("POST", "/w/bare/workflow/run", own).status == 424
    file.write_text("workflows: [{name: w, retruns: 1}]")
    until(lambda: "a.yaml: not loaded" in fake.log)
    assert "a.yaml:1:23: a workflow has no key 'retruns'; did you mean 'returns'?\n" in fake.log
    assert output() == "newer"
    assert fake.stop() == 0


def test_serve_refuses_to_watch_without_a_script() -> None:
    ended = run("serve", "--watch", "--port", "0")
    assert ended.returncode == 2
    assert "--watch needs a script to watch; name a script file or folder" in ended.stderr


def test_a_new_script_in_a_folder_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("output_mock.cli.watch._LOOK", 0.01)
    (tmp_path / "a.yaml").write_text("workflows: [{name: a, returns: 1}]")
    watched = Watched(tmp_path, (str(tmp_path),))
    try:
        watched.write("b.yaml", "workflows: [{name: b, returns: 2}]")
        watched.until_told("b.yaml: loaded, 1 workflow")
        assert [watched.client.run(name)["output"] for name in ("a", "b")] == [1, 2]
    finally:
        watched.watcher.close()

#!/usr/bin/env python3
"""Runs the steps of the Dockerfile without Docker, and then what comes out of it as a container runs it.

Each stage is a layer over this machine's files, with this Python in the place of the image's. The command is
process 1 of its own namespaces, as the user of the image, on files that are read-only. Takes Linux and root.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATH = "/usr/local/bin:/usr/bin:/bin"
# How long a container may take to be healthy and to end: only what hangs takes longer.
PATIENCE = 120


class Stage:
    """A stage of the Dockerfile: its layer, and what it says of the image."""

    def __init__(self, folder: Path) -> None:
        self.layer, self.work, self.root = (folder / name for name in ("layer", "work", "root"))
        for one in (self.layer, self.work, self.root):
            one.mkdir(parents=True)
        self.environment = {"PATH": PATH, "HOME": "/tmp"}
        self.arguments: dict[str, str] = {}
        self.folder, self.user = "/", "0:0"
        self.said: dict[str, list[str]] = {}

    def inside(self, words: list[str], *, sealed: bool, environment: dict[str, str]) -> list[str]:
        """The command that runs `words` in this stage: as process 1 with a network of its own if `sealed`."""
        lines = [
            f"mount -t overlay overlay -o lowerdir=/,upperdir={self.layer},workdir={self.work} {self.root}",
            f"mount --bind {sys.base_prefix} {self.root}/usr/local",
            f"mount --bind /dev {self.root}/dev",
            f"mount -t tmpfs tmpfs {self.root}/tmp",
        ]
        if sealed:
            lines += [
                f"mount -t proc proc {self.root}/proc",
                "ip link set lo up",
                f"mount -o remount,ro {self.root}",
            ]
        run = shlex.join([*(f"{name}={value}" for name, value in environment.items()), *words])
        inner = f"cd {self.folder} && exec env -i {run}"
        user = f"--userspec={self.user} " if sealed else ""
        lines.append(f"exec chroot {user}{self.root} sh -c {shlex.quote(inner)}")
        spaces = ["--pid", "--fork", "--net", "--kill-child"] if sealed else []
        return ["unshare", "--mount", *spaces, "sh", "-ec", "\n".join(lines)]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.split("\n") if line)]


def context(folder: Path) -> Path:
    """What the build may see of the project: what `.dockerignore` lets through."""
    patterns = [line for line in (ROOT / ".dockerignore").read_text().split("\n") if line and line[0] != "#"]
    kept = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in kept.stdout.splitlines():
        ignored = False
        for pattern in patterns:
            bare = pattern.lstrip("!")
            if fnmatch(name, bare) or name.startswith(f"{bare}/"):
                ignored = not pattern.startswith("!")
        if not ignored and (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def built(folder: Path) -> Stage:
    """The last stage, after all steps."""
    seen = context(folder / "context")
    stages: dict[str, Stage] = {}
    arguments: dict[str, str] = {}
    stage: Stage | None = None
    for name, rest in instructions():
        if name == "ARG":
            key, _, value = rest.partition("=")
            (arguments if stage is None else stage.arguments)[key] = value
        elif name == "FROM":
            image, _, alias = rest.partition(" AS ")
            known = re.fullmatch(r"python:\$\{PYTHON\}-slim", image)
            assert known, f"this stands in for the official images of Python, not for {image}"
            stage = stages[alias or "image"] = Stage(folder / (alias or "image"))
        else:
            assert stage is not None
            step(stage, name, rest, seen, stages)
    assert stage is not None
    return stage


def step(stage: Stage, name: str, rest: str, seen: Path, stages: dict[str, Stage]) -> None:
    """Do one instruction in a stage."""
    if name == "WORKDIR":
        stage.folder = rest
        (stage.layer / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif name == "COPY":
        *sources, target = rest.split()
        origin = seen
        if sources[0].startswith("--from="):
            origin = stages[sources.pop(0).removeprefix("--from=")].layer
        place = stage.layer / os.path.join(stage.folder, target).lstrip("/")
        for source in sources:
            found = origin / source.lstrip("/")
            if found.is_dir():
                shutil.copytree(found, place, symlinks=True, dirs_exist_ok=True)
            else:
                goal = place / found.name if target.endswith("/") else place
                goal.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(found, goal)
    elif name == "RUN":
        # As a build gets the settings of its proxies and registries.
        given = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_", "http"))}
        environment = {**given, **stage.environment, **stage.arguments}
        done = subprocess.run(
            stage.inside(["sh", "-c", rest], sealed=False, environment=environment),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"RUN {rest}\n{done.stdout}{done.stderr}"
    elif name == "ENV":
        for pair in shlex.split(rest):
            key, _, value = pair.partition("=")
            stage.environment[key] = re.sub(r"\$PATH\b", stage.environment["PATH"], value)
    elif name == "USER":
        stage.user = rest
    elif name == "HEALTHCHECK":
        stage.said[name] = json.loads(rest[rest.index("[") :])
    elif name in ("ENTRYPOINT", "CMD"):
        stage.said[name] = json.loads(rest)
    else:
        assert name in ("LABEL", "EXPOSE"), f"{name} is an instruction that this script does not know"


class Container:
    """A running image, with some variables of `docker run --env`."""

    def __init__(self, image: Stage, **variables: str) -> None:
        self.image = image
        self.environment = {**image.environment, **variables}
        words = image.said["ENTRYPOINT"] + image.said["CMD"]
        self.process = subprocess.Popen(
            image.inside(words, sealed=True, environment=self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def first(self) -> int:
        """Process 1, by its number outside."""
        outer = self.process.pid
        while not (found := Path(f"/proc/{outer}/task/{outer}/children").read_text().split()):
            assert self.process.poll() is None, self.process.communicate()[0]
            time.sleep(0.05)
        return int(found[0])

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run something in it, as `docker exec` does."""
        pairs = [f"{name}={value}" for name, value in self.environment.items()]
        inside = ["nsenter", f"--target={self.first()}", "--mount", "--pid", "--net", "--root", "--wdns=/"]
        return subprocess.run(
            [*inside, "env", "-i", *pairs, *words],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def until(self, words: list[str]) -> str:
        """Run something in it until that succeeds."""
        ends = time.monotonic() + PATIENCE
        while (done := self.run(*words)).returncode:
            assert self.process.poll() is None, f"it ended: {self.process.communicate()[0]}"
            assert time.monotonic() < ends, f"{words}: {done.stdout}{done.stderr}"
            time.sleep(0.1)
        return done.stdout

    def stop(self) -> tuple[int, str]:
        """End it as `docker stop` does: its status, and what it said."""
        os.kill(self.first(), signal.SIGTERM)
        said, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, said


def main() -> None:
    """Build it, and try it."""
    folder = Path(tempfile.mkdtemp(prefix="output-mock-image-"))
    try:
        image = built(folder)
        container = Container(image)
        print(container.until(image.said["HEALTHCHECK"]).strip())
        ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:3001/workflow/catalog').status)"
        assert container.run("python", "-c", ask).stdout == "200\n"
        status = container.run("cat", "/proc/1/status").stdout
        assert re.search(r"^Uid:\s+65532", status, re.MULTILINE), status
        ended, said = container.stop()
        assert ended == 0, said
        # Health checks have left no line.
        assert "GET /health" not in said, said
        assert "GET /workflow/catalog 200" in said, said
        print(said.strip())
        # What the real container is told is heard here, and a mistake ends it.
        refused = Container(image, OUTPUT_API_PORT="tcp://10.0.0.7:80")
        said, _ = refused.process.communicate(timeout=PATIENCE)
        assert refused.process.returncode == 2, said
        assert "service link" in said, said
        # A signal while it still reads a script.
        script = image.layer / "mock" / "slow.py"
        script.write_text("import time\nprint('reading', flush=True)\ntime.sleep(600)\n")
        starting = Container(image, OUTPUT_MOCK_SCRIPTS="/mock")
        assert starting.process.stdout is not None
        assert starting.process.stdout.readline() == "reading\n"
        ended, said = starting.stop()
        assert ended == 143, (ended, said)
        print("the image is healthy, is not root, and ends when it is told to")
    finally:
        shutil.rmtree(folder)


def can_mount() -> bool:
    """Whether overlays can be mounted in a network of its own, which a container may forbid to root too."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("layer", "work", "root"):
            os.mkdir(f"{folder}/{name}")
        options = f"lowerdir=/,upperdir={folder}/layer,workdir={folder}/work"
        mount = ["mount", "-t", "overlay", "overlay", "-o", options, f"{folder}/root"]
        spaces = ["unshare", "--mount", "--pid", "--fork", "--net"]
        return (
            bool(shutil.which("ip"))
            and subprocess.run([*spaces, *mount], capture_output=True).returncode == 0
        )


if __name__ == "__main__":
    if sys.platform != "linux" or os.getuid() or not shutil.which("unshare"):
        print("SKIPPED: the image cannot be tried here: that takes Linux, root and util-linux")
    elif not can_mount():
        print("SKIPPED: the image cannot be tried here: that takes overlays, and `ip`")
    else:
        main()

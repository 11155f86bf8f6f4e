"""A real nginx for tests. Tests that need it are skipped where it is not installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.conftest import eventually

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
# Why there is no nginx for tests; None if there is one.
LACKING = (
    "needs nginx: apt-get install nginx-light"
    if NGINX is None
    else "needs root, whom the folders of nginx belong to"
    if not hasattr(os, "geteuid") or os.geteuid() != 0
    else None
)


def a_free_port() -> int:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def nginx(folder: Path, configuration: str, port: int) -> Iterator[str]:
    """The URL of an nginx with this configuration, on that port of 127.0.0.1."""
    assert NGINX is not None
    file = folder / "nginx.conf"
    file.write_text(configuration)
    command = [NGINX, "-p", str(folder), "-c", str(file), "-e", "stderr", "-g", f"pid {folder}/pid;"]
    tested = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=20, check=False)
    assert tested.returncode == 0, tested.stderr
    assert "warn" not in tested.stderr
    command[-1] += " daemon off;"
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: _answers(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _answers(port: int) -> bool:
    with closing(socket.socket()) as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0

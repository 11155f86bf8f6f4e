"""Sample responses that mask to a recorded one."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from output_mock.recording.masks import PAYLOAD

UUID = "01a20ae8-a83a-708a-8339-012cb8bed38f"
TIME = "2026-11-24T00:15:36.327Z"
# Whole values, by their masks.
_VALUES: dict[str, Any] = {
    "<ms>": 1795479336327,
    "<n>": 3,
    "<epoch>": "1795479336",
    "<nanos>": 327000000,
    "<backoff>": {"nanos": 960000000},
    "<id>": "V1StGXR8_Z5jdHi6B-myT",
    "<token>": "dG9rZW4=",
    "<historySizeBytes>": {"low": 420, "high": 0, "unsigned": False},
    "<workflowExecutionExpirationTime>": {"seconds": "1795565736", "nanos": 327000000},
    "<sdkMetadata>": {"coreUsedFlags": [1], "langUsedFlags": [], "sdkName": "", "sdkVersion": ""},
    "<meteringMetadata>": {},
    "<workerVersion>": {"buildId": "b"},
    "<acceptedRequest>": {
        "meta": {"updateId": UUID, "identity": "1@api"},
        "input": {"name": "u", "args": {"payloads": []}},
    },
}
_TEXTS = {
    "<uuid>": UUID,
    "<time>": TIME,
    "<folder>": "/app/logs/runs",
    "<date>": "2026/11/24",
    "<child>": "V1StGXR8_Z5jdHi6B",
    "<id>": "V1StGXR8_Z5jdHi6B-myT",
}
_TRACE_TIME = re.compile(r"<time>(?=_<id>\.json)")


def sample(value: Any) -> Any:
    """A value that a masked value may stand for. Variables have the value `UUID`."""
    if isinstance(value, str):
        if value in _VALUES:
            return _VALUES[value]
        text = _TRACE_TIME.sub("2026-11-24-00-15-36-327Z", value)
        for mask, shown in _TEXTS.items():
            text = text.replace(mask, shown)
        return re.sub(r"\{\{\w+\}\}", UUID, text)
    if isinstance(value, dict):
        if value.keys() == {PAYLOAD}:
            return base64.b64encode(json.dumps(sample(value[PAYLOAD])).encode()).decode()
        return {sample(name): sample(item) for name, item in value.items()}
    return [sample(item) for item in value] if isinstance(value, list) else value


def stream_text(frames: list[dict[str, Any]]) -> str:
    """The body of a stream with these frames."""
    blocks = []
    for frame in frames:
        lines = [f": {frame['comment']}"] if "comment" in frame else []
        lines += [f"{name}: {frame[name]}" for name in ("id", "event") if name in frame]
        if "data" in frame:
            lines.append(f"data: {json.dumps(frame['data'], separators=(',', ':'), ensure_ascii=False)}")
        blocks.append("\n".join(lines) + "\n\n")
    return "".join(blocks)

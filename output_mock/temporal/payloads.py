"""Values as payloads of Temporal, as the TypeScript SDK writes and the real server reads them.

Everything is `json/plain`, printed as JavaScript prints it; a missing value is `binary/null`, so that
`undefined` and `null` stay different (feedback, run_values).
"""

from __future__ import annotations

import dataclasses
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    EncodingPayloadConverter,
)

from output_mock.javascript_json import UNDEFINED, as_json, parse, to_bytes


class _Undefined(EncodingPayloadConverter):
    """The encoding of `UNDEFINED`."""

    @property
    def encoding(self) -> str:
        return "binary/null"

    def to_payload(self, value: Any) -> Payload | None:
        return Payload(metadata={"encoding": b"binary/null"}) if value is UNDEFINED else None

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        return UNDEFINED


class _JSON(EncodingPayloadConverter):
    """The encoding of all JSON values."""

    @property
    def encoding(self) -> str:
        return "json/plain"

    def to_payload(self, value: Any) -> Payload | None:
        if isinstance(value, Message):
            # The SDK's own answers; the real server reads no `json/protobuf`.
            value = MessageToDict(value)
        return Payload(metadata={"encoding": b"json/plain"}, data=to_bytes(as_json(value)))

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        return parse(payload.data.decode())


class _Payloads(CompositePayloadConverter):
    def __init__(self) -> None:
        super().__init__(_Undefined(), _JSON())


CONVERTER = dataclasses.replace(DataConverter.default, payload_converter_class=_Payloads)

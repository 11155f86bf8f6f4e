"""Problems with S3."""

from __future__ import annotations

from typing import ClassVar, get_args

from output_mock.contract.schemas import text
from output_mock.http.faults.kind import AffectedRequest, Effect, Options, OptionSchemas
from output_mock.http.response import WSGIResponse
from output_mock.http.trace_log import Trouble


class StorageTrouble(Effect):
    """A trace log is requested, and something is wrong with `s3`: the object is `missing`, `not_json`,
    `empty` or
    `huge` (200 MB), there is `no_bucket`, access is `denied`, it is the `wrong_region`, S3 is `down`, or the
    server has `no_keys`.
    """

    options: ClassVar[OptionSchemas] = {
        "s3": text("What is wrong with S3 when a trace log is requested.", enum=list(get_args(Trouble)))
    }
    only: ClassVar[tuple[str, str] | None] = ("a problem with S3", "trace_log")
    affects_all: bool = False

    def __init__(self, options: Options) -> None:
        self.trouble: Trouble = options["s3"]
        known = get_args(Trouble)
        if self.trouble not in known:
            raise ValueError(f"s3 must be one of {', '.join(known)}, not {self.trouble!r}")

    def words(self) -> str:
        return f"have a problem with S3: {self.trouble}"

    def before(self, request: AffectedRequest) -> None:
        request.s3 = self.trouble

    def has_affected(self, request: AffectedRequest, response: WSGIResponse) -> bool:
        return request.s3_failed

"""Where traces are: the names of their files, and the keys and URLs of their objects."""

from __future__ import annotations

import functools
import hashlib
import re
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from output_mock.contract.errors import InvalidTraceFileUrl
from output_mock.contract.iso_time import iso
from output_mock.durations import MILLISECOND

# Common file systems do not allow longer names.
_LONGEST_NAME = 200


class ObjectPlace(NamedTuple):
    """Where an object is. Without a region, the server's own is meant."""

    bucket: str
    key: str
    region: str | None


# The URLs that the real server accepts for objects of S3.
_URL = re.compile(r"https://([a-z0-9][a-z0-9.-]*[a-z0-9])\.s3(?:\.([a-z0-9-]+))?\.amazonaws\.com/(.+)")


def object_place(url: str) -> ObjectPlace:
    """The place that a trace's URL names: `https://BUCKET.s3[.REGION].amazonaws.com/KEY`.

    Raises `InvalidTraceFileUrl` for any other one, as the real server's code does.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise InvalidTraceFileUrl("Url is not a valid S3 url")
    bucket, region, key = found.groups()
    # What JavaScript's decodeURIComponent refuses.
    if re.search(r"%(?![0-9A-Fa-f]{2})", key):
        raise InvalidTraceFileUrl("Error decoding the S3 key")
    try:
        return ObjectPlace(bucket, unquote_to_bytes(key).decode(), region)
    except UnicodeDecodeError:
        raise InvalidTraceFileUrl("Error decoding the S3 key") from None


def file_name(workflow_id: str, start: int) -> str:
    """The name of a trace's file (run_completes); an id is taken as it is (workflow_id)."""
    return f"{_file_stamp(start // MILLISECOND)}_{workflow_id}.json"


def object_key(workflow_type: str, workflow_id: str, start: int) -> str:
    """The key of a trace's object (remote_trace)."""
    day = _file_stamp(start // MILLISECOND)[:10].replace("-", "/")
    return f"{workflow_type}/{day}/{file_name(workflow_id, start)}"


def safe_name(name: str) -> str:
    """A file name that stays in its folder and is not too long; `name` itself if possible."""
    safe = quote(name, safe=" @+=,()[]{}", errors="surrogatepass")
    if safe.strip(".") == "":
        safe = safe.replace(".", "%2E")
    if len(safe) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        ending = ".json" if name.endswith(".json") else ""
        safe = f"{re.sub('%.?$', '', safe[: _LONGEST_NAME - 22])}~{digest}{ending}"
    return safe


@functools.lru_cache(maxsize=256)
def _file_stamp(milliseconds: int) -> str:
    """A time, as in the names of trace files."""
    return iso(milliseconds * MILLISECOND).replace(":", "-").replace("T", "-").replace(".", "-")

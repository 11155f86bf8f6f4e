"""Reads requests from connections."""

from __future__ import annotations

from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import Error, RequestHeaderFieldsTooLarge

from output_mock.contract import repeated_headers
from output_mock.http import head_limit


class Parser(HTTPRequestParser):
    """Reads a request, and refuses one whose head is too large for Node."""

    def received(self, data: bytes) -> int:
        begun = None if self.headers_finished else self.header_plus
        consumed = super().received(data)
        if begun is not None:
            head = begun + data[:consumed]
            # The counted size is never larger than the real one.
            if len(head) >= head_limit.LIMIT and head_limit.size_of_bytes(head) >= head_limit.LIMIT:
                self.error: Error | None = RequestHeaderFieldsTooLarge("")
                self.completed = True
        if self.completed:
            # Whoever has sent all of a request is not told to go on: waitress would wait for a body for ever.
            self.expect_continue = False
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(repeated_headers.lines_that_count(header_plus))
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            # Node refuses this, too: the two may not agree about where the request ends.
            raise ParsingError("A request with Transfer-Encoding must not have a Content-Length")

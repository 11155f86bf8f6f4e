"""Request bodies: JSON, forms, encodings, limits, and invalid bodies."""

from __future__ import annotations

import codecs
import gzip
import http.client
import json
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from output_mock import Context, OutputMock
from tests.client import Client
from tests.conftest import BOTH_TRANSPORTS

LIMIT = 2 * 1024 * 1024
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def mock() -> OutputMock:
    mock = OutputMock(seed=7)
    mock.workflow("echo").returns(lambda input: input)
    return mock


def echo(text: str = '"x"') -> str:
    return f'{{"workflowName":"echo","input":{text}}}'


def refused(client: Client, status: int, error: str, path: str = "/workflow/run", **options: Any) -> str:
    """Send an unreadable body; returns the error of the response."""
    answer = client.post(path, **options)
    assert (answer.status, answer.json["error"]) == (status, error), answer.text
    assert set(answer.json) == {"error", "message"}
    message: str = answer.json["message"]
    return message


# --- JSON ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset=utf-8",
        "application/json; charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/json ; a=b; charset=utf-8",
        "application/json; boundary=x",
    ],
)
def test_json_is_read_with_any_media_type_parameters(client: Client, content_type: str) -> None:
    answer = client.post("/workflow/run", data=echo('"é"'), headers={"Content-Type": content_type})
    assert (answer.status, answer.json["output"]) == (200, "é")


@BOTH_TRANSPORTS
@pytest.mark.parametrize(
    ("charset", "codec", "bom"),
    [
        ("utf-16", "utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16", "utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-16", "utf-16-le", b""),
        ("utf-16le", "utf-16-le", b""),
        ("utf-16be", "utf-16-be", b""),
        ("utf-8", "utf-8", codecs.BOM_UTF8),
        ("utf-32le", "utf-32-le", b""),
    ],
)
def test_the_charset_of_json_is_detected_from_its_bytes(
    client: Client, charset: str, codec: str, bom: bytes
) -> None:
    headers = {"Content-Type": f"application/json; charset={charset}"}
    answer = client.post("/workflow/run", data=bom + echo('"é🐝"').encode(codec), headers=headers)
    assert (answer.status, answer.json["output"]) == (200, "é🐝")


@pytest.mark.parametrize("charset", ["latin1", "iso-8859-1", "x-unknown", "utf-99"])
def test_json_in_another_charset_is_refused(client: Client, charset: str) -> None:
    headers = {"Content-Type": f"application/json; charset={charset}"}
    message = refused(client, 415, "UnsupportedMediaTypeError", data=echo(), headers=headers)
    assert message == f'unsupported charset "{charset.upper()}"'


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/json",
        "application/vnd.api+json",
        "application/x-ndjson",
        "multipart/form-data",
        "json",
        "*/*",
    ],
)
def test_a_body_of_another_media_type_counts_as_missing(client: Client, content_type: str) -> None:
    answer = client.post("/workflow/run", data=echo(), headers={"Content-Type": content_type})
    assert (answer.status, answer.json["error"]) == (400, "ValidationError")
    (issue,) = answer.json["issues"]
    assert issue["message"] == "Invalid input: expected object, received undefined"


def test_json_that_is_sent_as_a_form_is_explained(client: Client, mock: OutputMock) -> None:
    client.post("/workflow/run", data=json.dumps({"workflowName": "echo"}), headers=FORM)
    reason = mock.calls[0].unmatched_reason
    told = "is read as a form; send JSON as application/json"
    assert reason == f"a body of type {FORM['Content-Type']!r} {told}"


@BOTH_TRANSPORTS
def test_a_body_of_another_media_type_may_be_malformed_or_large(client: Client) -> None:
    text = {"Content-Type": "text/plain"}
    assert client.post("/heartbeat", data="{bad", headers=text).status == 204
    assert client.post("/heartbeat", data=b"x" * (LIMIT + 1), headers=text).status == 204


def test_a_message_without_a_body_has_no_payload(mock: OutputMock, client: Client) -> None:
    @mock.workflow("waits")
    async def waits(ctx: Context, input: Any) -> Any:
        return {"got": await ctx.wait_for_signal("go")}

    client.start("waits", workflowId="w")
    assert (
        client.post("/workflow/w/signal/go", data="not read", headers={"Content-Type": "text/plain"}).text
        == "OK"
    )
    assert client.until_closed("w") == "completed"
    assert client.get("/workflow/w/result").json["output"] == {"got": None}


@pytest.mark.parametrize(
    "text",
    [
        "{bad",
        "{",
        "[",
        '{"a":}',
        '{"a" 1}',
        "{'a': 1}",
        '{"a":1,}',
        '{"a":1}x',
        '{"a":01}',
        '{"a":NaN}',
        '{"a":Infinity}',
        '{"a":"\n"}',
        '{"a":"\\x"}',
        "null",
        "true",
        "1",
        '"x"',
        "   ",
        "nope",
    ],
)
def test_malformed_json_is_a_syntax_error(client: Client, text: str) -> None:
    assert refused(client, 400, "SyntaxError", data=text, headers=JSON)


def test_json_may_be_nested_deeply(client: Client) -> None:
    nested = "[" * 500 + "]" * 500
    answer = client.post("/workflow/run", data=echo(nested), headers=JSON)
    assert (answer.status, json.dumps(answer.json["output"])) == (200, nested)


@BOTH_TRANSPORTS
@pytest.mark.parametrize("operation", ["run", "start", "one/signal/s", "one/query/q", "one/update/u"])
def test_json_that_is_nested_too_deeply_does_no_harm(client: Client, operation: str) -> None:
    client.run("echo", workflowId="one")
    nested = "[" * 100_000 + "]" * 100_000
    answer = client.post(f"/workflow/{operation}", data=f'{{"payload":{nested}}}', headers=JSON)
    assert (answer.status, answer.json) == (
        500,
        {"error": "RangeError", "message": "Maximum call stack size exceeded"},
    )
    assert client.get("/health").text == "OK"


def test_whitespace_around_json_is_ignored(client: Client) -> None:
    answer = client.post("/workflow/run", data=f" \r\n\t{echo()}\n ", headers=JSON)
    assert answer.json["output"] == "x"


@pytest.mark.parametrize(
    ("sent", "comes_back"),
    [
        ("1.0", "1"),
        ("-0", "0"),
        ("1e3", "1000"),
        ("1e400", "null"),
        ("0.1", "0.1"),
        ("9007199254740993", "9007199254740992"),
        ("123456789012345678901234567890", "1.2345678901234568e+29"),
        ("1e-7", "1e-7"),
        ("0.00001", "0.00001"),
        ("5e-324", "5e-324"),
        ('"\\ud83d"', '"\\ud83d"'),
        ('"\\u0000"', '"\\u0000"'),
        ('"\\u2028"', '"\u2028"'),
        ('{"a":1,"a":2}', '{"a":2}'),
        ('{"__proto__":1}', '{"__proto__":1}'),
    ],
)
def test_values_come_back_as_javascript_serialises_them(client: Client, sent: str, comes_back: str) -> None:
    answer = client.post("/workflow/run", data=echo(sent), headers=JSON)
    assert f'"input":{comes_back},"output":{comes_back},' in answer.text


@BOTH_TRANSPORTS
def test_a_syntax_error_is_reported_before_any_other_check(client: Client) -> None:
    for method, path in (
        ("GET", "/nope"),
        ("PUT", "/workflow/run"),
        ("POST", "/workflow/%zz/terminate"),
    ):
        answer = client.request(method, path, data="{bad", headers=JSON)
        assert (answer.status, answer.json["error"]) == (400, "SyntaxError")


@BOTH_TRANSPORTS
@pytest.mark.parametrize("body", [b"", codecs.BOM_UTF8])
def test_an_empty_body_of_type_json_is_an_empty_object(client: Client, body: bytes) -> None:
    answer = client.post("/workflow/run", data=body, headers=JSON)
    (issue,) = answer.json["issues"]
    assert (answer.status, issue["path"]) == (400, ["workflowName"])


# --- limits ----------------------------------------------------------------------------------------------


def sized(length: int) -> bytes:
    return echo('"' + "x" * (length - len(echo('""'))) + '"').encode()


@BOTH_TRANSPORTS
def test_a_body_of_two_mebibytes_is_read(client: Client) -> None:
    body = sized(LIMIT)
    assert len(body) == LIMIT
    assert client.post("/workflow/start", data=body, headers=JSON).status == 200


@BOTH_TRANSPORTS
@pytest.mark.parametrize("headers", [JSON, FORM], ids=["json", "form"])
@pytest.mark.parametrize("path", ["/workflow/run", "/nope", "/health"])
def test_a_body_one_byte_over_the_limit_is_refused(
    client: Client, path: str, headers: dict[str, str]
) -> None:
    message = refused(client, 413, "PayloadTooLargeError", path, data=sized(LIMIT + 1), headers=headers)
    assert message == "request entity too large"


# --- encodings -------------------------------------------------------------------------------------------


@BOTH_TRANSPORTS
@pytest.mark.parametrize(
    ("encoding", "encode"),
    [("gzip", gzip.compress), ("GZIP", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)],
)
def test_an_encoded_body_is_decoded(client: Client, encoding: str, encode: Any) -> None:
    headers = {**JSON, "Content-Encoding": encoding}
    answer = client.post("/workflow/run", data=encode(echo().encode()), headers=headers)
    assert (answer.status, answer.json["output"]) == (200, "x")


def test_an_encoded_form_is_decoded(client: Client) -> None:
    headers = {**FORM, "Content-Encoding": "gzip"}
    answer = client.post("/workflow/run", data=gzip.compress(b"workflowName=echo&input=5"), headers=headers)
    assert answer.json["output"] == "5"


@pytest.mark.parametrize("encoding", ["br0ken", "compress", "gzip, deflate", "x-gzip"])
def test_an_unknown_encoding_is_refused(client: Client, encoding: str) -> None:
    headers = {**JSON, "Content-Encoding": encoding}
    message = refused(client, 415, "UnsupportedMediaTypeError", data=echo(), headers=headers)
    assert message == f'unsupported content encoding "{encoding}"'


@BOTH_TRANSPORTS
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_that_contradicts_its_content_encoding_is_refused(client: Client, encoding: str) -> None:
    answer = client.post("/workflow/run", data=echo(), headers={**JSON, "Content-Encoding": encoding})
    assert answer.status == 400


@BOTH_TRANSPORTS
def test_a_small_compressed_body_that_decompresses_too_large_is_refused(client: Client) -> None:
    headers = {**JSON, "Content-Encoding": "gzip"}
    bomb = gzip.compress(b"x" * (50 * LIMIT), compresslevel=1)
    assert len(bomb) < LIMIT
    refused(client, 413, "PayloadTooLargeError", data=bomb, headers=headers)


def test_a_chunked_body_is_read(mock: OutputMock) -> None:
    def pieces() -> Iterator[bytes]:
        body = echo().encode()
        for at in range(0, len(body), 7):
            yield body[at : at + 7]

    with mock.serve() as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        connection.request("POST", "/workflow/run", pieces(), JSON, encode_chunked=True)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["output"]) == (200, "x")
        connection.close()


def test_a_connection_is_kept_for_the_next_request(mock: OutputMock) -> None:
    with mock.serve() as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        for body in (echo(), "{bad", echo()):
            connection.request("POST", "/workflow/run", body, JSON)
            socket = connection.sock
            answer = connection.getresponse()
            answer.read()
            assert answer.status == (400 if body == "{bad" else 200)
            assert connection.sock is socket
        connection.close()


# --- forms -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "input"),
    [
        ("input=5", "5"),
        ("input", ""),
        ("input=", ""),
        ("input=a+b%20c%C3%A9", "a b cé"),
        ("input[a]=1", {"a": "1"}),
        ("input[a][b]=1&input[a][c]=2", {"a": {"b": "1", "c": "2"}}),
        ("input%5Ba%5D=1", {"a": "1"}),
        ("input[]=1", ["1"]),
        ("input[]=1&input[]=2", ["1", "2"]),
        ("input=1&input=2", ["1", "2"]),
        ("input[1]=b&input[0]=a", ["a", "b"]),
        ("input[0][a]=1", [{"a": "1"}]),
        ("input[b][]=1&input[a]=5", {"b": ["1"], "a": "5"}),
        ("input=a=b", "a=b"),
        ("&&input=1&", "1"),
    ],
)
def test_brackets_in_form_keys_make_nested_values(client: Client, form: str, input: Any) -> None:
    answer = client.post("/workflow/run", data=f"workflowName=echo&{form}", headers=FORM)
    assert (answer.status, answer.json.get("input")) == (200, input), answer.text


def test_numbers_in_a_form_are_coerced_where_the_api_expects_numbers(client: Client) -> None:
    assert client.post("/workflow/run", data="workflowName=echo&timeout=250", headers=FORM).status == 200
    assert client.post("/workflow/run", data="workflowName=echo&timeout=249", headers=FORM).status == 400


def test_a_form_can_be_in_latin_1(client: Client) -> None:
    headers = {"Content-Type": f"{FORM['Content-Type']}; charset=iso-8859-1"}
    answer = client.post("/workflow/run", data="workflowName=echo&input=x", headers=headers)
    assert answer.json["output"] == "x"


def test_a_form_in_another_charset_is_refused(client: Client) -> None:
    headers = {"Content-Type": f"{FORM['Content-Type']}; charset=koi8-r"}
    assert refused(client, 415, "UnsupportedMediaTypeError", data="a=1", headers=headers) == (
        'unsupported charset "KOI8-R"'
    )


def test_a_form_with_too_many_parameters_is_refused(client: Client) -> None:
    many = "&".join(["workflowName=echo"] + ["a=1"] * 1000)
    assert refused(client, 413, "PayloadTooLargeError", data=many, headers=FORM) == "too many parameters"


def test_a_form_carries_messages_too(mock: OutputMock, client: Client) -> None:
    @mock.workflow("waits")
    async def waits(ctx: Context, input: Any) -> Any:
        return await ctx.wait_for_signal("go")

    client.start("waits", workflowId="w")
    assert client.post("/workflow/w/signal/go", data="payload[by]=ana", headers=FORM).text == "OK"
    client.until_closed("w")
    assert client.get("/workflow/w/result").json["output"] == {"by": "ana"}


# --- validation ------------------------------------------------------------------------------------------


def issues(client: Client, path: str, body: Any) -> list[tuple[list[Any], str]]:
    answer = client.post(path, body)
    assert (answer.status, answer.json["error"]) == (400, "ValidationError"), answer.text
    assert answer.json["message"] == "Invalid Payload"
    assert "workflowId" not in answer.json
    return [(issue["path"], issue["message"]) for issue in answer.json["issues"]]


@pytest.mark.parametrize("path", ["/workflow/run", "/workflow/start"])
@pytest.mark.parametrize(
    ("fields", "path_of_issue"),
    [
        ({"workflowName": 1}, ["workflowName"]),
        ({"workflowName": None}, ["workflowName"]),
        ({"workflowId": 5}, ["workflowId"]),
        ({"workflowId": None}, ["workflowId"]),
        ({"catalog": "bad catalog"}, ["catalog"]),
        ({"catalog": ""}, ["catalog"]),
        ({"catalog": None}, ["catalog"]),
        ({"taskQueue": "a/b"}, ["taskQueue"]),
        ({"taskQueue": ["main"]}, ["taskQueue"]),
    ],
)
def test_a_field_of_the_wrong_type_is_refused(
    client: Client, path: str, fields: dict[str, Any], path_of_issue: list[str]
) -> None:
    ((where, _),) = issues(client, path, {"workflowName": "echo", **fields})
    assert where == path_of_issue


@pytest.mark.parametrize(
    ("timeout", "message"),
    [
        (249, "Too small: expected number to be >=250"),
        (-1, "Too small: expected number to be >=250"),
        (0, "Too small: expected number to be >=250"),
        (None, "Too small: expected number to be >=250"),
        ("", "Too small: expected number to be >=250"),
        (False, "Too small: expected number to be >=250"),
        ([], "Too small: expected number to be >=250"),
        (300.5, "Invalid input: expected int, received number"),
        ("abc", "Invalid input: expected number, received NaN"),
        ({}, "Invalid input: expected number, received NaN"),
    ],
)
def test_a_timeout_is_a_whole_number_of_at_least_250(client: Client, timeout: Any, message: str) -> None:
    assert issues(client, "/workflow/run", {"workflowName": "echo", "timeout": timeout}) == [
        (["timeout"], message)
    ]


@pytest.mark.parametrize("timeout", [2**53, -(2**53)])
def test_a_timeout_beyond_the_safe_integer_range_is_refused(client: Client, timeout: int) -> None:
    answer = client.post("/workflow/run", {"workflowName": "echo", "timeout": timeout})
    assert answer.json["issues"][0]["note"] == "Integers must be within the safe integer range."


@pytest.mark.parametrize("timeout", [250, "250", " 1000 ", "1e3", 1000.0, [300], 86_400_000])
def test_a_timeout_is_coerced_as_in_javascript(client: Client, timeout: Any) -> None:
    assert client.post("/workflow/run", {"workflowName": "echo", "timeout": timeout}).status == 200


def test_start_ignores_timeout_and_unknown_keys(client: Client) -> None:
    assert (
        client.post("/workflow/start", {"workflowName": "echo", "timeout": "abc", "x": {"y": 1}}).status
        == 200
    )


def test_all_issues_are_reported_at_once_in_the_order_of_the_schema(client: Client) -> None:
    body = {"timeout": 1, "taskQueue": "", "catalog": 1, "workflowId": 1, "workflowName": 1}
    assert [where for where, _ in issues(client, "/workflow/run", body)] == [
        ["workflowName"],
        ["workflowId"],
        ["catalog"],
        ["taskQueue"],
        ["timeout"],
    ]


@pytest.mark.parametrize("operation", ["signal/x", "query/x", "update/x", "feedback"])
@pytest.mark.parametrize("payload", [[], [1], None, "x", 5, True])
def test_a_payload_must_be_an_object(client: Client, operation: str, payload: Any) -> None:
    ((where, message),) = issues(client, f"/workflow/any/{operation}", {"payload": payload})
    assert where == ["payload"]
    assert message.startswith("Invalid input: expected object, received ")


@pytest.mark.parametrize("operation", ["signal/x", "query/x", "update/x", "feedback"])
def test_the_body_of_a_message_must_be_an_object(client: Client, operation: str) -> None:
    ((where, message),) = issues(client, f"/workflow/any/{operation}", [])
    assert (where, message) == ([], "Invalid input: expected object, received array")


def test_a_body_is_validated_before_the_workflow_is_looked_up(client: Client) -> None:
    assert issues(client, "/workflow/none/reset", {}) == [
        (["stepName"], "Invalid input: expected string, received undefined")
    ]
    assert issues(client, "/workflow/none/terminate", {"reason": 5}) == [
        (["reason"], "Invalid input: expected string, received number")
    ]


@BOTH_TRANSPORTS
def test_reset_requires_a_body(client: Client) -> None:
    ((where, message),) = issues_without_body(client)
    assert (where, message) == ([], "Invalid input: expected object, received undefined")


def issues_without_body(client: Client) -> list[tuple[list[Any], str]]:
    answer = client.post("/workflow/none/reset")
    assert answer.status == 400
    return [(issue["path"], issue["message"]) for issue in answer.json["issues"]]


def test_an_empty_workflow_id_is_a_500_as_on_the_real_server(client: Client) -> None:
    answer = client.post("/workflow/start", {"workflowName": "echo", "workflowId": ""})
    assert (answer.status, answer.json) == (
        500,
        {"error": "TypeError", "message": "Missing WorkflowOptions.workflowId"},
    )


# --- query strings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=1.5", "limit"),
        ("limit=1&limit=2", "limit"),
        ("workflowType=a%20b", "workflowType"),
        ("workflowType=", "workflowType"),
        ("workflowType=a&workflowType=b", "workflowType"),
        ("catalog=a%22", "catalog"),
    ],
)
def test_a_query_string_is_validated_against_its_schema(client: Client, query: str, where: str) -> None:
    answer = client.get(f"/workflow/runs?{query}")
    assert (answer.status, answer.json["error"]) == (400, "ValidationError")
    assert [issue["path"] for issue in answer.json["issues"]] == [[where]]


@pytest.mark.parametrize(
    "query", ["limit=1", "limit=1e2", "limit=%201%20", "limit=0x10", "other=1", "", "&&", "=x"]
)
def test_numbers_in_a_query_string_are_read_as_in_javascript(client: Client, query: str) -> None:
    assert client.get(f"/workflow/runs?{query}").status == 200

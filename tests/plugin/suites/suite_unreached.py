"""User tests whose requests do not reach the fake. Each docstring is the expected report."""

import asyncio
import http.client
import socket
import urllib.request

import aiohttp
import httpx
import pytest
import requests

# Like a module that is imported before any test has a fake.
with socket.create_server(("127.0.0.1", 0)) as server:
    IMPORTED = f"http://127.0.0.1:{server.getsockname()[1]}"


def test_unreached_urllib(output_mock):
    """URLError at URL. That is this fake's URL…requests, httpx and httpx2…aiohttp, urllib, niquests…"""
    urllib.request.urlopen(f"{output_mock.url}/health")


def test_unreached_http_client(output_mock):
    """ConnectionRefusedError at URL. That is this fake's URL…output_server"""
    http.client.HTTPConnection(output_mock.url.removeprefix("http://")).request("GET", "/health")


def test_unreached_aiohttp(output_mock):
    """ClientConnectorError at URL. That is this fake's URL…output_server"""

    async def ask():
        async with aiohttp.ClientSession() as session:
            await session.get(f"{output_mock.url}/health")

    asyncio.run(ask())


def test_unreached_asyncio(output_mock):
    """ConnectionRefusedError at URL. That is this fake's URL…output_server"""
    host, port = output_mock.url.removeprefix("http://").split(":")
    asyncio.run(asyncio.open_connection(host, int(port)))


def test_unreached_requests_elsewhere(output_mock):
    """ConnectionError at IMPORTED, but this fake is at URL…OUTPUT_API_URL…output_url = IMPORTED in the ini"""
    requests.get(f"{IMPORTED}/health")


def test_unreached_httpx_elsewhere(output_mock):
    """ConnectError at IMPORTED, but this fake is at URL…output_url = IMPORTED"""
    httpx.get(f"{IMPORTED}/health")


def test_unreached_behind_another_error(output_mock):
    """RuntimeError at IMPORTED, but this fake is at URL"""
    try:
        requests.get(f"{IMPORTED}/health")
    except requests.ConnectionError as error:
        raise RuntimeError("no summary") from error


def test_unreached_on_a_socket(output_server):
    """ConnectionError at IMPORTED, but this fake is at URL…read it when you make the request"""
    requests.get(f"{IMPORTED}/health")


def test_unreached_and_nobody_says_why(output_mock):
    """no request has reached this fake, which is at URL…requests, httpx and httpx2…OUTPUT_API_URL"""
    pytest.fail("there is no summary")


async def test_unreached_as_no_plugin_runs_it(output_mock):
    """the test itself did not run…pytest-asyncio…asyncio_mode = auto"""
    raise AssertionError


def test_reached(output_mock):
    requests.get(f"{output_mock.url}/health")
    requests.get(f"{IMPORTED}/health")


def test_unreached_by_one_of_two_clients(output_mock):
    """URLError at URL. That is this fake's URL…the request did not reach it…output_server"""
    requests.get(f"{output_mock.url}/health")
    urllib.request.urlopen(f"{output_mock.url}/health")


def test_reached_but_dropped(output_mock):
    output_mock.drop_next(1)
    requests.get(f"{output_mock.url}/health")


def test_passes_though_nothing_has_reached_it(output_mock):
    assert output_mock.url

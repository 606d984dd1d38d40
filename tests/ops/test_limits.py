"""The bound on request bodies holds before anything is stored, whether the client says how much it sends or not."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlsd_app.asgi import application
from tests.live import LiveSite

LIMIT = 10_000


def test_a_claimed_2_gb_is_refused_without_reading_it(live_site: LiveSite) -> None:
    head = f"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: {2 * 2**30}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", live_site.port), timeout=10) as client:
        client.sendall(head + b"x" * 1000)
        answer = b""
        while chunk := client.recv(4096):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 413")
    assert "2,048 MB" in answer.decode() and "1,100 MB are accepted" in answer.decode()


async def post(chunks: Iterator[bytes], headers: list[tuple[bytes, bytes]]) -> tuple[int, dict[str, Any], int]:
    """(status, JSON, chunks read) of a POST whose body comes in `chunks`."""
    sent: list[Any] = []
    read = 0

    async def receive() -> dict[str, Any]:
        nonlocal read
        chunk = next(chunks, None)
        if chunk is None:
            return {"type": "http.disconnect"}
        read += 1
        return {"type": "http.request", "body": chunk, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/healthz",
        "raw_path": b"/healthz",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await application(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"]), read


@pytest.mark.parametrize("headers", [[(b"transfer-encoding", b"chunked")], [(b"content-length", b"nonsense")]])
async def test_a_body_without_a_length_is_cut_at_the_bound(settings: Any, own_folder: Path, headers: list[tuple[bytes, bytes]]) -> None:
    settings.MAX_REQUEST_BYTES, settings.FILE_UPLOAD_TEMP_DIR = LIMIT, own_folder
    endless = iter(lambda: b"x" * 1000, None)
    status, said, read = await post(endless, headers)
    assert status == 413 and "Nothing was stored" in said["detail"]
    assert read * 1000 <= LIMIT + 1000


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ([(b"accept", b"text/html,application/xhtml+xml,*/*;q=0.8")], b"text/html; charset=utf-8"),
        ([(b"accept", b"text/html, */*"), (b"hx-request", b"true")], b"application/json"),
        ([(b"accept", b"application/json")], b"application/json"),
        ([], b"application/json"),
    ],
)
async def test_a_person_gets_a_page_and_a_script_gets_json(headers: list[tuple[bytes, bytes]], kind: bytes) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    claimed = [(b"content-length", str(2 * 2**30).encode()), *headers]
    await application({"type": "http", "headers": claimed}, None, send)  # type: ignore[arg-type]  # what it sends is never read
    start, body = sent[0], sent[1]["body"].decode()
    assert start["status"] == 413 and dict(start["headers"])[b"content-type"] == kind
    assert "at most 1,100 MB are accepted" in body
    assert ("<h1>" in body) == kind.startswith(b"text/html")

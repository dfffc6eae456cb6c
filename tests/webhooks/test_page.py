"""docs/webhooks.md tells every event and setting as the code has them, and its receiver works."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest

from gateway.config.webhooks import Webhook
from gateway.upstream.sweep import Sweep
from gateway.webhooks import Endpoint
from gateway.webhooks.events import TYPES
from gateway.webhooks.sender import Sender
from tests.webhooks.conftest import SECRET, event
from tests.webhooks.test_events import warning

PAGE = (Path(__file__).parents[2] / "docs/webhooks.md").read_text()


def test_every_event_and_every_setting_has_its_row() -> None:
    named = set(re.findall(r"`([a-z_.]+)`", "\n".join(re.findall(r"^\| (`[^|]+) \|", PAGE, re.MULTILINE))))
    assert named == set(TYPES) | set(Webhook.model_fields)


def test_the_event_that_is_shown_is_what_would_be_sent() -> None:
    assert json.loads(PAGE.split("```json\n")[1].split("```")[0]) == json.loads(warning().body())


@pytest.mark.parametrize(("secret", "status"), [(SECRET, 204), (b"w" * 32, 401)], ids=["right", "wrong"])
async def test_the_receiver_that_is_shown_takes_what_is_signed_with_its_secret(secret: bytes, status: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    source = PAGE.split("```python\n")[1].split("```")[0].replace("9000", str(port))
    environ = {**os.environ, "GATEWAY_WEBHOOK_SECRET": "whsec_" + base64.b64encode(SECRET).decode()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-c", source, env=environ, stdout=PIPE, stderr=DEVNULL
    )
    sweep = Sweep(asyncio.get_running_loop())
    sweep.start()
    sender = Sender(Endpoint(f"http://127.0.0.1:{port}/", (secret,), allow_private=True), sweep)
    try:
        async with asyncio.timeout(20):
            result = await sender.send(event().id, event().body(), time.time())
            while result.outcome == "refused":  # it has not begun to listen
                await asyncio.sleep(0.05)
                result = await sender.send(event().id, event().body(), time.time())
        assert result.status == status
        if status == 204:
            assert process.stdout is not None
            assert b"calls.unpriced" in await process.stdout.readline()
    finally:
        process.kill()
        await process.wait()
        await sender.aclose()
        sweep.stop()

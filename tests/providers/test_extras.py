"""Optional packages: what is said where one is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gateway.providers import extras

BLOCKED = """
import sys
sys.modules["botocore"] = sys.modules["google.auth"] = None
from gateway.providers import aws, google
for make in (lambda: aws.Signer("us-east-1"), google.Tokens):
    try:
        make()
    except ImportError as error:
        print(error)
"""


def test_a_package_that_is_missing_is_named_with_the_way_to_get_it() -> None:
    with pytest.raises(extras.MissingExtra) as raised:
        extras.load("nowhere_to_be_found", "nowhere", "thin-air", "Doing nothing")
    assert str(raised.value) == (
        "Doing nothing needs nowhere, which is not installed: pip install 'llm-gateway[thin-air]'"
    )
    assert extras.load("json", "json", "none", "Nothing").dumps([]) == "[]"


def test_the_modules_import_without_their_packages_which_are_asked_for_in_use() -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "signing requests to AWS needs botocore, which is not installed: pip install 'llm-gateway[bedrock]'",
        "getting access tokens for Vertex AI needs google-auth, which is not installed: "
        "pip install 'llm-gateway[vertex]'",
    ]

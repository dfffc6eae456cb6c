"""What is read of a batch object."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.batches.finished import read_batch
from gateway.model.usage import Usage
from tests.batches.world import NOW, batch, totals


@pytest.mark.parametrize("status", ["validating", "in_progress", "finalizing", "cancelling", "", 7, None])
def test_a_batch_under_way_has_nothing_to_book(status: Any) -> None:
    assert read_batch({**batch(), "status": status}) is None


@pytest.mark.parametrize("status", ["completed", "expired", "cancelled", "failed"])
def test_each_end_has_its_time(status: str) -> None:
    found = read_batch(batch(status=status))
    assert found is not None and found.ended_at == NOW - 60 and found.is_free


def test_the_sum_of_a_batch_is_read_with_its_details() -> None:
    found = read_batch(batch(model="gpt-5-2025-08-07", usage=totals(100, 50, 30, 20), output_file_id="file-1"))
    assert found is not None and not found.is_free
    assert (found.model, found.output_file_id) == ("gpt-5-2025-08-07", "file-1")
    assert found.usage == Usage(100, 50, 30, reasoning_tokens=20)


@pytest.mark.parametrize("usage", [None, {}, [], "x", totals(0, 0), {"input_tokens": "many"}])
def test_a_sum_that_says_nothing_is_none(usage: Any) -> None:
    found = read_batch(batch(usage=usage, output_file_id="file-1"))
    assert found is not None and found.usage is None and not found.is_free


@pytest.mark.parametrize("object", [{}, {"id": 3, "status": "completed"}, {"id": "", "status": "completed"}])
def test_what_is_no_batch_is_none(object: dict[str, Any]) -> None:
    assert read_batch(object) is None

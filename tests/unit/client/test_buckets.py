"""The hash is the one that docs/API.md gives to those who write it themselves."""

import re
from pathlib import Path

import pytest

from mab_client import bucket

PAGE = Path(__file__).parents[3] / "docs" / "API.md"
VECTORS = re.findall(
    r"^\| `(exp_\w+)` \| `([^`]+)` \| (\d+) \|$", PAGE.read_text("utf-8"), re.MULTILINE
)


def test_the_vectors_of_the_page_hold():
    assert len(VECTORS) >= 10
    for experiment_id, session_id, number in VECTORS:
        assert bucket(experiment_id, session_id) == int(number), session_id


def test_half_a_surrogate_pair_has_no_bucket():
    with pytest.raises(UnicodeEncodeError):
        bucket("exp_1", "\ud800")

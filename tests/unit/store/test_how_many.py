"""A count and its noun agree."""

import pytest

from mab_store.how_many import how_many


@pytest.mark.parametrize(("count", "text"), [(0, "0 days"), (1, "1 day"), (2, "2 days")])
def test_the_noun_is_singular_for_1_alone(count, text):
    assert how_many(count, "day") == text

"""Variants can be told apart without colour vision, and without colour."""

from datetime import date, timedelta
from itertools import combinations

import numpy as np
import pytest

from mab_dashboard.charts import DASHES, REJECTED_COLOURS, VERDICT_COLOURS
from mab_dashboard.labels import EDGE, LEAST_PART, band_labels
from mab_dashboard.look import COLOURS, CONTROL_COLOUR, PATTERNS, SHAPES, colours_of, fill_of

LIGHT, DARK = "#ffffff", "#0e1117"
LEAST_DISTANCE = 10.0
"""In CIELAB; 2.3 is just noticeable."""
LEAST_CONTRAST = 2.0
# Machado, Oliveira and Fernandes, IEEE TVCG 15 (2009), 1291-1298: severity 1.0, linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def linear(colour: str) -> np.ndarray:
    part = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    x, y, z = (TO_XYZ @ np.clip(rgb, 0, 1)) / (TO_XYZ @ np.ones(3))
    f = [t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one: str, other: str) -> float:
    low, high = sorted(float(TO_XYZ[1] @ linear(colour)) + 0.05 for colour in (one, other))
    return high / low


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(
    "palette",
    [
        (*COLOURS, CONTROL_COLOUR),
        (*VERDICT_COLOURS.values(), *REJECTED_COLOURS),
        tuple(colour for _, colour in SHAPES.values()),
    ],
)
def test_no_two_colours_look_alike_to_anyone(palette, vision):
    seen = {colour: lab(VISION[vision] @ linear(colour)) for colour in dict.fromkeys(palette)}
    near = {
        pair: round(float(np.linalg.norm(seen[pair[0]] - seen[pair[1]])), 1)
        for pair in combinations(seen, 2)
    }
    assert {pair: gap for pair, gap in near.items() if gap < LEAST_DISTANCE} == {}


@pytest.mark.parametrize("colour", [*COLOURS, CONTROL_COLOUR, *REJECTED_COLOURS])
def test_a_colour_stands_out_from_the_page_light_and_dark(colour):
    assert contrast(colour, LIGHT) >= LEAST_CONTRAST
    assert contrast(colour, DARK) >= LEAST_CONTRAST


def test_variants_that_share_a_colour_or_a_pattern_differ_in_the_other():
    names = ["control", *(f"v{number}" for number in range(40))]
    colours = colours_of(names, "control")
    fills = [fill_of(name, colours) for name in names]
    patterns = [fill.rpartition(",")[0] for fill in fills[: len(PATTERNS)]]
    assert len(set(patterns)) == len(PATTERNS)
    assert len(set(fills[: 1 + len(PATTERNS)])) == 1 + len(PATTERNS)
    assert len(set(DASHES)) == len(DASHES)


DAY = date(2026, 1, 1)


def rows(*shares: dict[str, float]) -> list[tuple[date, str, float]]:
    days = [(DAY + timedelta(days=place), stack) for place, stack in enumerate(shares)]
    return [(day, name, share) for day, stack in days for name, share in stack.items()]


def test_a_label_stands_on_its_band_at_the_end_or_where_it_is_thickest():
    course = [{"a": 30.0, "b": 70.0}] * 9 + [{"a": 60.0, "b": 40.0}, {"a": 2.0, "b": 98.0}]
    below, above = band_labels(rows(*course), ["b", "a"])
    assert (below.name, below.day, below.middle) == ("b", DAY + timedelta(days=10), 49.0)
    assert below.align == "right"
    assert (above.name, above.day, above.middle) == ("a", DAY + timedelta(days=9), 70.0)


@pytest.mark.parametrize(("share", "count"), [(7.1, 2), (6.9, 1)])
def test_a_band_that_is_too_thin_has_no_label(share, count):
    assert LEAST_PART == 0.07
    assert len(band_labels(rows({"a": share, "b": 100 - share}), ["a", "b"])) == count


def test_a_label_grows_inwards_at_both_ends_and_one_day_has_it_in_the_middle():
    assert 0 < EDGE < 0.5
    thick, thin = {"a": 90.0, "b": 10.0}, {"a": 3.0, "b": 97.0}
    course = [thick, *[thin] * 9]
    assert [label.align for label in band_labels(rows(*course), ["a"])] == ["left"]
    assert [label.align for label in band_labels(rows(thick), ["a"])] == ["center"]
    assert band_labels([], ["a"]) == []

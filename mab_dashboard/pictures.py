"""Charts as pictures: PNG without a browser and without the network."""

import altair as alt
import vl_convert

WIDTH = 1000
SCALE = 2.0
"""Pixels for each point: sharp on paper and on a projector."""


def png_of(chart: alt.LayerChart) -> bytes:
    """Return a chart as a PNG on white, `WIDTH` points wide."""
    drawn = chart.properties(width=WIDTH).to_dict()
    drawn["config"] |= {"background": "#ffffff"}  # beside the locale, which is there already
    picture: bytes = vl_convert.vegalite_to_png(drawn, scale=SCALE, allowed_base_urls=[])
    return picture

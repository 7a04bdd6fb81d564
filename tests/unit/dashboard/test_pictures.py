import struct
from datetime import date

import pytest
import vl_convert

from mab_dashboard.charts import impressions_chart, shares_chart
from mab_dashboard.pictures import SCALE, WIDTH, png_of
from mab_dashboard.series import Share


def test_a_chart_becomes_a_png_of_its_size_whatever_its_names_hold():
    name = "<img src=x onerror=alert(1)> ünïcode"
    shares = [Share(date(2026, 1, day), name, 1.0, held=False) for day in (1, 2)]
    picture = png_of(shares_chart(shares, {name: "#0072B2"}, "en", title="Shares"))
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", picture[16:24])
    assert width >= WIDTH * SCALE
    assert 400 < height < 2000


@pytest.mark.parametrize(("language", "shown"), [("en", "10,000"), ("pt", "10.000")])
def test_an_axis_writes_numbers_as_its_language_does(language, shown):
    days = [
        {"date": f"2026-01-0{day}", "variants": [{"variant_name": "a", "impressions": 20_000}]}
        for day in (1, 2)
    ]
    chart = impressions_chart(days, {"a": "#0072B2"}, language)
    assert f">{shown}<" in vl_convert.vegalite_to_svg(chart.to_dict(), allowed_base_urls=[])
    assert png_of(chart).startswith(b"\x89PNG")
    assert chart.to_dict()["config"].get("locale", {}).get("number", {}).get("thousands") == (
        "." if language == "pt" else None
    )

import struct
from datetime import date

from mab_dashboard.charts import shares_chart
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

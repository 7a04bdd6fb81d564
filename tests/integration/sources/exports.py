"""Raw exports as tools write them, for 14 days: so many show the order of day and month."""

import datetime as dt
import io

from openpyxl import Workbook

TODAY = dt.datetime.now(dt.UTC).date()
DAYS = [TODAY - dt.timedelta(days=back) for back in range(14, 0, -1)]


def ad_manager() -> bytes:
    """English: title rows, quoted thousands, month first, a Total row, UTF-8 with its mark."""
    lines = [
        "Ad Manager report",
        f'Date range,"{DAYS[0]:%b %d, %Y} - {DAYS[-1]:%b %d, %Y}"',
        "",
        "Date,Order,Line item,Creative,Ad server impressions,Ad server clicks,Ad server CTR",
    ]
    for day in DAYS:
        for order in ("Homepage CTA", "Another order"):
            item = "homepage_cta" if order == "Homepage CTA" else "other"
            lines.append(f'{day:%m/%d/%Y},{order},{item},control,"10,200",310,3.04%')
            lines.append(f'{day:%m/%d/%Y},{order},{item},green,"10,100",360,3.56%')
    lines.append(f'Total,,,,"{20_300 * 2 * len(DAYS):,}","{670 * 2 * len(DAYS):,}",3.30%')
    return "\ufeff".encode() + "\r\n".join(lines).encode()


def ad_manager_portuguese() -> bytes:
    """Semicolons, points for thousands, decimal commas, day first, UTF-16."""
    columns = "Data;Item de linha;Criativo;Impressões do servidor de anúncios;"
    lines = [f"{columns}Cliques do servidor de anúncios;CTR do servidor de anúncios"]
    for day in DAYS:
        lines.append(f"{day:%d/%m/%Y};Promoção de verão;Controle;9.800,00;290;2,96%")
        lines.append(f"{day:%d/%m/%Y};Promoção de verão;Botão azul;9.900,00;330;3,33%")
    lines.append(f"Total;;;{19_700 * len(DAYS)};{620 * len(DAYS)};3,15%")
    return "\r\n".join(lines).encode("utf-16")


def google_analytics(factor: int = 1) -> bytes:
    """Comment lines, dates in one piece, a grand total in a column of its own, rows per device."""
    columns = "Date,Item promotion name,Item promotion creative name"
    lines = [
        "# ----------------------------------------",
        "# Free form 1",
        f"# {DAYS[0]:%Y%m%d}-{DAYS[-1]:%Y%m%d}",
        "# ----------------------------------------",
        "",
        f"{columns},Device category,Items viewed in promotion,Items clicked in promotion",
        ",,,,840000,25200,Grand total",
    ]
    for day in DAYS:
        for device in ("desktop", "mobile"):
            lines.append(f"{day:%Y%m%d},spring_banner,original,{device},{5000 * factor},140")
            lines.append(f"{day:%Y%m%d},spring_banner,photo,{device},{5000 * factor},160")
    return "\n".join(lines).encode()


def excel() -> bytes:
    """A sheet of notes, and one with real dates and numbers below a title."""
    book = Workbook()
    book.active.title = "Notes"
    book.active.append(["Made by hand"])
    sheet = book.create_sheet("Data")
    sheet.append(["Newsletter test"])
    sheet.append([])
    sheet.append(["Day", "Experiment", "Variant", "Sessions", "Conversions"])
    for day in DAYS:
        moment = dt.datetime.combine(day, dt.time())
        sheet.append([moment, "newsletter", "A", 4000, 80])
        sheet.append([moment, "newsletter", "B", 4100.0, 95])
    sheet.append(["Total", None, None, 8100 * len(DAYS), 175 * len(DAYS)])
    return saved(book)


def saved(book: Workbook) -> bytes:
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()

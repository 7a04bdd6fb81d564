"""What changes in a page on its way to the site, and that pages and navigation agree."""

import tomllib
from pathlib import Path

import pytest

from tools.docs_site import ELSEWHERE, page, sources
from tools.pictures import FOLDER, PICTURES

ROOT = Path(__file__).parents[3]
PLACES = {"README.md": "index.md", "docs/API.md": "API.md", "docs/adr/0001-a.md": "adr/0001-a.md"}


@pytest.mark.parametrize(
    ("source", "before", "after"),
    [
        ("docs/API.md", "[one](adr/0001-a.md#x)", "[one](adr/0001-a.md#x)"),
        ("docs/adr/0001-a.md", "[API](../API.md)", "[API](../API.md)"),
        ("docs/adr/0001-a.md", "[mab](../../README.md)", "[mab](../index.md)"),
        ("README.md", "[API](docs/API.md#keys)", "[API](API.md#keys)"),
        ("docs/API.md", "[the file](../deploy/dagster.yaml)", "the file (`deploy/dagster.yaml`)"),
        ("docs/API.md", "[`dagster.yaml`](../deploy/dagster.yaml)", "`dagster.yaml`"),
        (
            "docs/API.md",
            "[x](https://a.example/b) [y](#here)",
            "[x](https://a.example/b) [y](#here)",
        ),
        ("docs/API.md", "```\n[x](../no.md)\n```", "```\n[x](../no.md)\n```"),
    ],
)
def test_a_link_leads_to_the_page_on_the_site_or_names_the_file(source, before, after):
    assert page(before, source, PLACES) == after


def test_an_entity_diagram_becomes_a_table():
    text = '```mermaid\nerDiagram\n    a ||--o{ b : "id"\n    a {\n        int id PK\n    }\n```\n'
    assert "| `a` | one to some or none | `b` | id |" in page(text, "docs/API.md", PLACES)


def test_another_mermaid_picture_is_refused_with_the_remedy():
    with pytest.raises(SystemExit, match="docs/img"):
        page("```mermaid\nflowchart LR\n  a --> b\n```", "docs/API.md", PLACES)


def test_every_page_stands_in_the_navigation():
    text = (ROOT / "zensical.toml").read_text("utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} | set(ELSEWHERE.values())
    missing = [name for name in sorted(pages) if f'"{name}"' not in text]
    assert not missing, "add it to nav in zensical.toml"
    assert tomllib.loads(text)["project"]["theme"]["font"] is False
    assert "docs/adr/README.md" in sources()


@pytest.mark.parametrize("name", PICTURES)
def test_the_committed_pictures_are_current(name):
    text = (FOLDER / f"{name}.svg").read_text("utf-8")
    assert text == PICTURES[name].svg(), "run `python -m tools.pictures`"

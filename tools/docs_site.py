"""Build the documentation as a site: `make docs-site`, into build/site.

The pages are Markdown files that also read well in the repository. So they are copied to
build/docs first, and two things change on the way: a link to a file that the site does not hold
becomes the file's name, and a Mermaid picture, which a browser could only draw with a script from
another host, becomes a table of its lines.

    python -m tools.docs_site    # exit code 1 if a link or an anchor leads nowhere
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "build" / "docs"
SITE = ROOT / "build" / "site"
ELSEWHERE = {  # pages that lie outside docs/, and their place on the site
    "README.md": "index.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "mab_pipeline/sample/README.md": "SAMPLE.md",
}

_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[([^\]\[]+)\]\(([^)\s]+)\)")
_RELATION = re.compile(r"^\s*(\w+) ([|}o{-]+) (\w+) : \"([^\"]*)\"$", re.MULTILINE)
_HOW_MANY = {"||": "one", "|o": "one or none", "o|": "one or none"}


def sources() -> dict[str, str]:
    """Return each file of the site: its place in the repository, and its place on the site."""
    found = {
        path.relative_to(ROOT).as_posix(): path.relative_to(ROOT / "docs").as_posix()
        for path in sorted((ROOT / "docs").rglob("*"))
        if path.is_file()
    }
    return found | ELSEWHERE


def copy_pages() -> None:
    """Write build/docs again, from the files of the repository."""
    shutil.rmtree(PAGES, ignore_errors=True)
    places = sources()
    for source, place in places.items():
        target = PAGES / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.endswith(".md"):
            text = (ROOT / source).read_text("utf-8")
            target.write_text(page(text, source, places), "utf-8")
        else:
            shutil.copyfile(ROOT / source, target)


def page(text: str, source: str, places: dict[str, str]) -> str:
    """Return a page as the site shows it.

    Args:
        text: Markdown, as in the repository.
        source: Its place in the repository.
        places: Place on the site by place in the repository.
    """
    return "".join(
        _picture(part) if part.startswith("```") else _links(part, source, places)
        for part in _prose_and_code(text)
    )


def _prose_and_code(text: str) -> Iterator[str]:
    end = 0
    for fence in _FENCE.finditer(text):
        yield text[end : fence.start()]
        yield fence.group()
        end = fence.end()
    yield text[end:]


def _links(prose: str, source: str, places: dict[str, str]) -> str:
    def on_the_site(link: re.Match[str]) -> str:
        text, target = link.groups()
        path, mark, anchor = target.partition("#")
        if "://" in target or not path:
            return link.group()
        file = os.path.normpath((PurePosixPath(source).parent / path).as_posix())
        if file not in places:
            return text if text.startswith("`") else f"{text} (`{file}`)" if text != file else text
        start = PurePosixPath(places[source]).parent.as_posix()
        return f"[{text}]({os.path.relpath(places[file], start)}{mark}{anchor})"

    return _LINK.sub(on_the_site, prose)


def _picture(code: str) -> str:
    """Return a code block as it is, but the relations of an entity diagram as a table."""
    if not code.startswith("```mermaid"):
        return code
    rows = [
        f"| `{one}` | {_count(ends[:2])} to {_count(ends[-2:])} | `{many}` | {by} |"
        for one, ends, many, by in _RELATION.findall(code)
    ]
    if not rows:
        sys.exit("the site shows Mermaid's erDiagram alone; put another picture into docs/img")
    return "\n".join(["| table | rows | table | by |", "| --- | --- | --- | --- |", *rows])


def _count(end: str) -> str:
    """Return the number of rows that an end of a relation stands for."""
    many = "some or none" if "o" in end else "one or more"
    return _HOW_MANY.get(end, many)


def main() -> None:
    """Copy the pages and build the site, strictly."""
    copy_pages()
    shutil.rmtree(SITE, ignore_errors=True)
    zensical = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    built = subprocess.run(zensical, cwd=ROOT, check=False)  # noqa: S603 - our own command
    if built.returncode:
        sys.exit("the site was not built; see the warnings above")
    print(f"{SITE / 'index.html'}")


if __name__ == "__main__":
    main()

"""The counter of translated English: it counts prose, leaves code out, and keeps its limits."""

import re
import sys

import pytest

from tools import prose


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one page and one module, both empty; returns its folder."""
    monkeypatch.setattr(prose, "ROOT", tmp_path)
    monkeypatch.setattr(prose, "PACKAGES", ("package",))
    monkeypatch.setattr(prose, "PAGES", ("*.md", ".env.example"))
    monkeypatch.setattr(sys, "argv", ["prose"])
    for folder in ("package", "sql"):
        (tmp_path / folder).mkdir()
    return tmp_path


def places(habit: int) -> list[tuple[str, int]]:
    """Return file and line of each place of a habit."""
    return [
        (passage.source, passage.line + passage.text[: match.start()].count("\n"))
        for passage in prose.passages()
        for match in prose.HABITS[habit].pattern.finditer(passage.text)
    ]


@pytest.mark.parametrize(
    ("habit", "text"),
    [
        (0, "It serves what is published."),
        (0, "What the kernel wrote, it reads."),
        (1, "None where there is none."),
        (2, "It is needed by nobody."),
        (2, "Whoever asks gets it."),
    ],
)
def test_a_habit_is_counted_in_every_kind_of_prose(project, habit, text):
    (project / "page.md").write_text(f"# Page\n\nFirst.\n{text}\n")
    (project / ".env.example").write_text(f"# {text}\nKEY=value\n")
    (project / "package" / "module.py").write_text(
        f'"""{text}"""\n\nNAME = 1  # {text}\n\nprint(f"{{NAME}} is one. {text}")\n'
    )
    (project / "sql" / "file.sql").write_text(f"select 1\n-- {text}\n")
    assert sorted(places(habit)) == [
        (".env.example", 1),
        ("package/module.py", 1),
        ("package/module.py", 3),
        ("package/module.py", 5),
        ("page.md", 4),
        ("sql/file.sql", 2),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Run `what is old` now.",
        "Run ``what is `old` now`` now.",
        "Run what `is` does.",
        "```\nwhat is old\n```",
        "```sql\n-- what is old, where nobody looks\n```\nEnd.",
        "Run:\n\n    what is old",
        "What is old, and where is it?",
        "No matter what is old.",
    ],
)
def test_code_and_questions_are_not_counted(project, text):
    (project / "page.md").write_text(f"{text}\n")
    found = [places(habit) for habit in range(len(prose.HABITS))]
    assert found == [[], [], []]


def test_text_between_two_pieces_of_code_is_counted(project):
    (project / "page.md").write_text("The `a` shows what is old in `b`.\n")
    assert places(0) == [("page.md", 1)]


def test_names_and_keys_are_not_prose_but_messages_of_three_words_are(project):
    (project / "package" / "module.py").write_text(
        'KEY = "nobody"\nTWO = "nobody asked"\nTHREE = "nobody asked it"\n'
        'PLAIN = f"{KEY} where {TWO}"\n'
    )
    assert places(2) == [("package/module.py", 3)]
    assert places(1) == [("package/module.py", 4)]


def test_a_line_break_hides_no_phrase_and_the_line_is_that_of_its_first_word(project):
    (project / "page.md").write_text("First.\n\nIt serves what\nis published.\n")
    (project / "package" / "module.py").write_text(
        '"""Serve what\n    is new."""\n# what\n# is new\n'
    )
    (project / "sql" / "file.sql").write_text("-- what\n-- is new\n")
    assert sorted(places(0)) == [
        ("package/module.py", 1),
        ("package/module.py", 3),
        ("page.md", 3),
        ("sql/file.sql", 1),
    ]


def test_a_list_item_does_not_go_on_in_the_next(project):
    (project / "page.md").write_text(
        "* what\n* is new\n\n| what | the file |\n| what |\n| is new |\n"
    )
    assert places(0) == []


@pytest.mark.parametrize(
    ("habit", "phrase"), [(0, "what is"), (1, "where"), (2, "nobody")]
)  # fmt: skip
def test_the_limit_itself_is_allowed_and_one_word_less_to_share_it_is_not(
    project, capsys, habit, phrase
):
    limit = int(prose.HABITS[habit].limit)
    own = limit * len(phrase.split())
    page = project / "page.md"
    page.write_text((f"{phrase}.\n" * limit) + "word " * (10_000 - own))
    assert prose.main() == 0
    out = capsys.readouterr().out
    assert out.startswith("10,000 words\n")
    assert re.search(rf"{limit}\.0 per 10,000 words, within the limit of {limit}", out)
    page.write_text((f"{phrase}.\n" * limit) + "word " * (9_999 - own))
    assert prose.main() == 1
    assert f"above the limit of {limit}" in capsys.readouterr().out


def test_the_list_names_each_place(project, capsys, monkeypatch):
    (project / "page.md").write_text("First.\n\nIt is needed by nobody.\n")
    monkeypatch.setattr(sys, "argv", ["prose", "--list"])
    assert prose.main() == 1
    assert "  page.md:3: It is needed by nobody." in capsys.readouterr().out

"""Names as markup: nothing from outside is parsed or printed raw, wherever a person reads it."""

import ast
import io
import json
import sys
import unicodedata
from datetime import datetime
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from upath import UPath

import mab_pipeline
from mab_api.telemetry import RequestLines, make_log
from mab_pipeline.alerts.conditions import Notice
from mab_pipeline.alerts.throttle import Waiting
from mab_pipeline.alerts.webhook import payload
from mab_pipeline.allocation.gate import Failure
from mab_pipeline.checks.definitions import _evidence
from mab_pipeline.cli.console import PlainConsole, add_row, new_table, say
from mab_pipeline.cli.doctor import print_findings
from mab_pipeline.cli.main import main
from mab_pipeline.cli.prune import print_prunable
from mab_pipeline.metadata import shares_plot
from mab_pipeline.operations.doctor import Finding
from mab_pipeline.operations.prune import Prunable
from mab_pipeline.runs.failures import found_lines
from mab_store.errors import MabError, NewNameError
from mab_store.experiments.registration import change, register
from mab_store.experiments.schemas import (
    ChangeSpec,
    ExperimentRegistered,
    ExperimentSpec,
    experiment_id_of,
)
from mab_store.files.inbox import Inbox
from mab_store.plain_text import fault_of_new_name, plain
from mab_store.settings import load_settings

DAY = "2025-03-19"
NOW = datetime(2025, 3, 20, 2)  # noqa: DTZ001  # naive UTC by contract
# Each is a name that an experiment could be registered under until now.
MARKUP = [
    "promo [/b] 50%",
    "[red]promo",
    "[link=file:///etc/passwd]x[/link]",
    ":smile: $\\frac",
    "a`b`",
]
UNSEEN = {
    "colour \x1b[31m": "\\x1b",
    "title \x1b]0;owned\x07": "\\x07",
    "c1 \x9b31m": "\\x9b",
    "line\nmab: all is well": "\\n",
    "bidi \u202egpj.exe": "\\u202e",
    "isolate \u2066x\u2069": "\\u2066",
    "zero\u200bwidth": "\\u200b",
    "joiner a\u034fb": "\\u034f",
    "filler \u3164x": "\\u3164",
    "mark \ufeffx": "\\ufeff",
    "tag \U000e0041x": "\\U000e0041",
    "para\u2029graph": "\\u2029",
    "soft\xadhyphen": "\\xad",
}
# Names that were accepted before: what `contracts.Name` takes.
HELD = [name for name in UNSEEN if not any(unicodedata.category(c) == "Cc" for c in name)]
NFD = unicodedata.normalize("NFD", "café")


@pytest.mark.parametrize("name", UNSEEN)
def test_a_character_that_cannot_be_seen_is_shown_by_its_escape(name):
    shown = plain(name)
    assert UNSEEN[name] in shown
    assert plain(shown) == shown
    assert len(shown.splitlines()) == 1


@given(st.text())
def test_plain_text_is_one_line_of_characters_that_can_be_seen(text):
    shown = plain(text)
    assert all(unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in shown)
    assert plain(shown) == shown
    if text.isascii() and text.isprintable():
        assert shown == text


@pytest.mark.parametrize("name", ["promo [/b] 50%", "naïve", "実験 1", "🙂 smile", "a\xa0b"])
def test_what_can_be_seen_stays_as_it_is(name):
    assert plain(name) == name
    assert fault_of_new_name(name) is None


@pytest.mark.parametrize("name", [*MARKUP, *UNSEEN])
def test_lines_tables_and_errors_show_a_name_and_parse_nothing(name, capsys):
    console = PlainConsole(width=300)
    say(console, ("mab:", "red"), f" {name}")
    table = new_table(name, ((name, "left"), ("b", "right")))
    add_row(table, (name, name))
    console.print(table)
    print_findings([Finding("inbox", is_ok=False, detail=name, remedy=name)])
    print_prunable([Prunable(name, 1, 1, None, None)], is_done=True)
    out = capsys.readouterr().out
    # One line, title, header and cells of the table, two of the finding and one of the prune.
    assert out.count(plain(name)) == 8
    assert not set(out) & {"\x1b", "\x07", "\x9b", "\u202e", "\u2066", "\u200b", "\ufeff"}
    assert str(MabError(f"No {name}.")) == f"No {plain(name)}."


def test_what_somebody_forgot_to_make_plain_still_moves_no_cursor(capsys):
    PlainConsole(width=300).print("\x1b[31mx\x9b\u202e [red]y[/]")
    assert capsys.readouterr().out == "\ufffd[31mx\ufffd\ufffd [red]y[/]\n"


@pytest.mark.parametrize("name", ["![x](http://evil/x.png) <b>", "``` end", "* a\n```\n# title"])
def test_a_check_shows_what_it_found_as_code_and_is_read_back(name):
    evidence = _evidence([Failure(DAY, name), Failure(DAY, "second")])
    lines = evidence["found"].value.splitlines()
    assert [lines[0], lines[-1], len(lines)] == ["```text", "```", 4]
    assert not any(line.startswith("`") for line in lines[1:-1])
    evaluation = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("a"), check_name="c", passed=False, metadata=evidence
    )
    assert found_lines(evaluation) == [plain(f"{DAY}: {name}"), f"{DAY}: second"]


def test_what_an_earlier_version_stored_of_a_check_is_still_read():
    evaluation = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("a"),
        check_name="c",
        passed=False,
        metadata={"found": dg.MetadataValue.md("* 2025-01-01: x\n* 2025-01-02: y")},
    )
    assert found_lines(evaluation) == ["2025-01-01: x", "2025-01-02: y"]


@pytest.mark.parametrize("name", ["<!channel> *x* _y_ ~z~", *UNSEEN])
def test_an_alert_tells_a_name_and_slack_parses_nothing_of_it(name, tmp_path):
    notice = Notice(cause="run_failure/x", text=f"{name} failed.", remedy=f"mend {name}.")
    settings = load_settings(mab_home=tmp_path, _env_file=None)
    body = payload(settings, Waiting(notices=[notice], count=1), NOW)
    assert body["mrkdwn"] is False
    assert len(body["text"].splitlines()) == 3
    assert "<" not in body["text"]
    assert body["summary"] == plain(f"{name} failed.")


@pytest.mark.parametrize("name", ["$x$", "```", "~~~~", "a\nb", "<b>x</b>", "![x](y)", "x" * 200])
def test_a_plot_shows_a_name_as_it_is_and_no_name_ends_it(name):
    rows = [{"experiment_id": "exp_0", "variant_name": name, "share_percent": 62.5}]
    first, heading, bar, last = shares_plot(rows, {"exp_0": name}).value.splitlines()
    assert (first, last) == ("```text", "```")
    assert heading == f"{plain(name)}:"
    assert bar.startswith(f"  {plain(name)[:31]}")
    assert bar.endswith(f"  62.50 % {'█' * 10}")


@pytest.mark.parametrize("path", ["/x\x9b31m", "/\u202ex", "/a\nb"])
def test_a_line_of_the_api_s_log_holds_no_raw_character(path):
    stream = io.BytesIO()
    lines = RequestLines(stream)
    lines._lines.append(b"")  # no event loop has to write them
    lines.add(request_id="1", method="GET", path=path, status=404, seconds=0.1)
    lines.flush()
    make_log(stream).warning("refresh failed", reason=path)
    for line in stream.getvalue().decode().splitlines():
        values = json.loads(line)
        assert plain(path) in {values.get("path"), values.get("reason")}
        assert path.strip("/") not in line


# New names


@pytest.mark.parametrize("name", [*HELD, NFD])
def test_a_new_name_is_refused_with_the_place_and_the_character(name, tmp_path):
    inbox = Inbox(UPath(tmp_path), max_file_bytes=1 << 20)
    with pytest.raises(NewNameError) as refused:
        register(inbox, spec(name, "control", name), now=NOW)
    assert list(refused.value.faults) == [("name",), ("variants", 1, "name")]
    assert (UNSEEN.get(name, "NFC")) in str(refused.value)
    assert list(tmp_path.iterdir()) == []
    held = register(inbox, spec("x", "control", "b"), now=NOW).event
    with pytest.raises(NewNameError, match="add_variants"):
        change(inbox, held.experiment_id, ChangeSpec(changed_by="a", add_variants=[name]), now=NOW)
    with pytest.raises(ValueError, match=r"changed_by"):
        ChangeSpec(changed_by=name, status="paused")


@pytest.mark.parametrize("name", [*HELD, NFD])
def test_a_name_that_is_there_keeps_working(name, tmp_path):
    inbox = Inbox(UPath(tmp_path), max_file_bytes=1 << 20)
    written = spec(name, "control", name)
    event = ExperimentRegistered(
        **written.model_dump(), experiment_id=experiment_id_of(name), created_at=f"{DAY}T00:00:00Z"
    )
    inbox.write(f"experiments/{event.experiment_id}/r.json", event.model_dump_json().encode())
    assert not register(inbox, written, now=NOW).is_new
    for what in ({"retire_variants": [name]}, {"add_variants": [name]}):
        assert change(
            inbox, event.experiment_id, ChangeSpec(changed_by="a", **what), now=NOW
        ).is_new


def spec(name, *variants):
    named = [{"name": variant, "is_control": place == 0} for place, variant in enumerate(variants)]
    return ExperimentSpec(name=name, variants=named)


# The commands


@pytest.fixture(scope="module")
def poisoned(make_world):
    """A home whose experiments and files carry such names, as an earlier version took them."""
    world = make_world(now="2025-03-20T02:00:00")
    for name in (MARKUP[0], "bidi \u202egpj.exe"):
        world.register(name, "control", name)
        for variant in ("control", name):
            world.metrics(DAY, (name, variant, 300, 3), name=f"{variant[:4]}{name[:4]}.csv")
    world.metrics(DAY, ("nothing", "x", 1, 1), name="[b]\x1b[31m.csv")
    world.drop(f"metrics/{DAY}/[b]\x1b[31m\n.txt", "no metrics")
    world.run(DAY)
    return world


@pytest.fixture
def called(monkeypatch, capsys):
    """Run `mab` in this process, which saves its imports; return exit code, stdout and stderr."""

    def call(home, *arguments):
        monkeypatch.setenv("MAB_HOME", str(home))
        monkeypatch.setenv("COLUMNS", "300")  # a test runner's narrow width would fold the names
        monkeypatch.setattr(sys, "argv", ["mab", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return call


@pytest.mark.parametrize(
    "arguments",
    [
        ("allocations",),
        ("explain", MARKUP[0]),
        ("explain", "bidi \u202egpj.exe"),
        ("explain", "[/b] unknown \x1b[31m"),
        ("run", "--date", DAY),
        ("replay", MARKUP[0], "--date", DAY),
        ("doctor", "--no-api"),
        ("prune", "--older-than", "90d"),
    ],
)
def test_no_command_crashes_on_a_name_or_prints_it_raw(poisoned, called, arguments):
    code, out, err = called(poisoned.home, *arguments)
    assert code == (1 if "unknown" in arguments[-1] or arguments[0] == "doctor" else 0), err
    assert not set(out + err) & {"\x1b", "\u202e", "\x07"}
    if arguments[0] in {"allocations", "replay"} or arguments[1:] == (MARKUP[0],):
        assert MARKUP[0] in out + err
    if arguments[0] == "run":
        assert "[b]\\x1b[31m\\n.txt has the extension" in err


def test_json_is_exact_data(poisoned, called):
    code, out, _ = called(poisoned.home, "allocations", "--format", "json")
    assert code == 0
    names = {body["experiment_name"] for body in json.loads(out)}
    assert names == {MARKUP[0], "bidi \u202egpj.exe"}


def test_ingest_goes_on_after_a_name_that_looks_like_markup(called, tmp_path):
    files = []
    for place, name in enumerate([*MARKUP, "last"]):
        body = {"name": name, "variants": [{"name": "a", "is_control": True}, {"name": "b"}]}
        files.append(tmp_path / f"[b] {place}.json")
        files[-1].write_text(json.dumps(body))
    code, _, err = called(tmp_path / "home", "ingest", *map(str, files))
    assert (code, err.count("added")) == (0, len(files)), err


# Ways around it

RICH = {"rich", "rich.text", "rich.table", "rich.markup"}
SOURCES = sorted(Path(mab_pipeline.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_nothing_prints_or_logs_but_through_the_border(path):
    """Rich's texts, tables and consoles are made in console.py; logs and echo take plain text."""
    ways = []
    for node in ast.walk(ast.parse(path.read_text())):
        imported = node.module if isinstance(node, ast.ImportFrom) else None
        if imported in RICH and path.name != "console.py":
            ways.append(f"{node.lineno}: imports {imported}")
        if isinstance(node, ast.Call):
            ways += ways_around(node, path)
    assert ways == []


def ways_around(call, path):
    name = ast.unparse(call.func)
    first = call.args[0] if call.args else None
    if name.endswith((".log.info", ".log.warning", ".log.error")):
        if not (isinstance(first, ast.Call) and ast.unparse(first.func) == "plain"):
            yield f"{call.lineno}: logs what is not made plain"
    elif name == "typer.echo":
        if not (isinstance(first, ast.Call) and ast.unparse(first.func) == "json.dumps"):
            yield f"{call.lineno}: echoes what is not JSON"
    elif name in {"print", "Console"} or (name.endswith(".print") and path.name != "console.py"):
        yield f"{call.lineno}: {name}"


def test_the_walk_sees_each_way_around():
    code = "console.print(x)\nprint(x)\nConsole()\ntyper.echo(x)\ncontext.log.warning(x)"
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    assert len([way for call in calls for way in ways_around(call, Path("cli.py"))]) == 5


def test_a_markup_console_would_have_crashed():
    """What this guards against: Rich reads `[/b]` as the end of a tag that nobody opened."""
    with pytest.raises(Exception, match="closing tag"):
        Console(file=io.StringIO()).print("promo [/b] 50%")

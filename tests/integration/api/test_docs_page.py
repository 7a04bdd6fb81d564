"""docs/API.md is true: `MAB_WRITE_DOCS=1 pytest` on this file writes the answers again."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mab_api.problems import Kind
from mab_store.experiments.assignment import bucket_of
from tests.integration.api.pages import PAGE, commands, normalised, snippet, vectors
from tests.integration.api.servers import ROOT, Server, serving
from tests.python_path import python_path

WRITES = os.environ.get("MAB_WRITE_DOCS") == "1"
EXAMPLES = ROOT / "mab_api" / "openapi_examples.json"
CLI = "from mab_pipeline.cli.main import main; main()"
# `make test` needs nothing but Python; .ci/run installs what these two need, and so runs all of it.
WITHOUT_CURL, WITHOUT_NODE = (shutil.which(program) is None for program in ("curl", "node"))


def run_command(text: str, server: Server, home: Path) -> str:
    """Run a command of the page as a person would; only the port is another one."""
    if text.startswith("mab "):
        text = f'"{sys.executable}" -c "{CLI}" {text.removeprefix("mab ")}'
    else:
        assert text.startswith("curl ")
        text = text.replace("localhost:8000", f"127.0.0.1:{server.port}")
        text = text.replace("curl ", "curl -sS --max-time 30 ", 1)
    environment = os.environ | {"MAB_HOME": str(home), "PYTHONPATH": python_path(ROOT)}
    done = subprocess.run(
        ["bash", "-c", text], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, f"{text}\n{done.stderr}"
    return done.stdout


def examples():
    return json.loads(EXAMPLES.read_text("utf-8"))


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What every command of the page answers, run in its order on an empty home."""
    home = tmp_path_factory.mktemp("docs") / "home"
    home.mkdir()
    found = []
    with serving(home, "--dev") as server:
        for command in commands(PAGE.read_text("utf-8")):
            output = run_command(command.text, server, home)
            if command.text.startswith("mab run"):
                server.wait_for("/readyz")
            found.append((command, json.loads(output) if command.answer is not None else None))
    if WRITES:
        write(found)
    return found


def write(found) -> None:
    page = PAGE.read_text("utf-8")
    for command, answer in reversed(found):
        if answer is not None:
            first, last = command.span
            page = page[:first] + pretty(answer) + page[last:]
    PAGE.write_text(page, "utf-8")
    examples = {command.example: answer for command, answer in found if command.example}
    EXAMPLES.write_text(json.dumps(examples, indent=2, ensure_ascii=False) + "\n", "utf-8")


def pretty(value, indent: int = 0, room: int = 100) -> str:
    """Write JSON with as few lines as a reader likes."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= room or not isinstance(value, (dict, list)):
        return flat
    pad, inner = " " * indent, " " * (indent + 2)
    if isinstance(value, dict):
        rows = [f"{inner}{json.dumps(k)}: {pretty(v, indent + 2)}" for k, v in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{pad}}}"
    return "[\n" + ",\n".join(inner + pretty(v, indent + 2) for v in value) + f"\n{pad}]"


@pytest.mark.skipif(WITHOUT_CURL, reason="the page's commands are curl's, which is not here")
def test_every_command_of_the_page_answers_what_the_page_shows(answers):
    shown = commands(PAGE.read_text("utf-8"))
    assert len(answers) == len(shown) > 12
    for command, (_, answer) in zip(shown, answers, strict=True):
        assert normalised(answer) == normalised(command.answer), command.text


@pytest.mark.skipif(WITHOUT_CURL, reason="the page's commands are curl's, which is not here")
def test_the_examples_of_the_openapi_document_are_these_answers(answers):
    found = {command.example: answer for command, answer in answers if command.example}
    assert normalised(found) == normalised(examples())


def test_the_page_lists_every_kind_of_problem():
    page = PAGE.read_text("utf-8")
    for kind in Kind:
        assert f"| {kind.status} | `{kind.slug}` | {kind.title} |" in page


def test_the_ten_vectors_are_what_the_hash_gives():
    found = vectors(PAGE.read_text("utf-8"))
    assert len(found) == 10
    assert [bucket_of(experiment, session) for experiment, session, _ in found] == [
        bucket for _, _, bucket in found
    ]


def test_the_python_snippet_gives_the_vectors():
    page = PAGE.read_text("utf-8")
    names: dict = {}
    exec(snippet(page, "python"), names)  # it is what readers copy
    for experiment, session, bucket in vectors(page):
        assert names["bucket"](experiment, session) == bucket
    allocations = examples()["allocation"]["allocations"]
    expected = examples()["assignment"]
    assert names["variant"](expected["bucket"], allocations) == expected["variant_name"]


@pytest.mark.skipif(WITHOUT_NODE, reason="Node, which runs the snippet, is not here")
def test_the_javascript_snippet_gives_the_vectors():
    page = PAGE.read_text("utf-8")
    allocations, expected = examples()["allocation"]["allocations"], examples()["assignment"]
    program = f"""{snippet(page, "javascript")}
    const vectors = {json.dumps(vectors(page))};
    console.log(JSON.stringify([
        vectors.map(([experiment, session]) => bucket(experiment, session)),
        variant({expected["bucket"]}, {json.dumps(allocations)}),
    ]));"""
    done = subprocess.run(["node", "-e", program], capture_output=True, check=True, timeout=300)
    buckets, name = json.loads(done.stdout)
    assert buckets == [bucket for _, _, bucket in vectors(page)]
    assert name == expected["variant_name"]


def test_the_sql_snippet_is_snowflakes_and_takes_the_same_bytes():
    sqlglot = pytest.importorskip("sqlglot")
    text = snippet(PAGE.read_text("utf-8"), "sql")
    (statement,) = sqlglot.parse(text, read="snowflake")
    assert "SHA2(experiment_id || ':' || session_id, 256), 16)" in statement.sql("snowflake")

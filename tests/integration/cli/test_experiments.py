"""`mab experiments`: the events that the API would write, and what a person reads of them."""

import csv
import datetime as dt
import io
import json
import sys

import pytest

from mab_pipeline.cli.main import main
from mab_pipeline.cli.output import print_csv
from mab_store.experiments.registration import registered
from mab_store.experiments.schemas import experiment_id_of
from mab_store.version import mab_version

CTA = experiment_id_of("cta")
TOMORROW = str(dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1))
CREATE = ("create", "cta", "--control", "control", "--variant", "a", "--variant", "b")


@pytest.fixture
def call(monkeypatch, tmp_path, capsys):
    """Run `mab experiments …` in this process; return exit code, stdout and stderr."""
    monkeypatch.setenv("MAB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments, verb="experiments"):
        monkeypatch.setattr(sys, "argv", ["mab", verb, *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code, *capsys.readouterr())

    return run


def events(tmp_path):
    folder = tmp_path / "home" / "inbox" / "experiments" / CTA
    return {path.name: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def test_create_writes_the_registration_that_the_api_would_write(call, tmp_path, make_world):
    code, out, err = call(*CREATE, "--description", "Button", "--start-date", "2025-03-01")
    assert (code, out) == (0, "")
    assert err == f"cta ({CTA}) is registered.\n"
    (event,) = events(tmp_path).values()
    assert event["variants"][0] == {"name": "control", "is_control": True}
    assert (event["description"], event["start_date"]) == ("Button", "2025-03-01")
    world = make_world()
    world.drop(f"experiments/{CTA}/registered.json", json.dumps(event))
    assert registered(world.platform.inbox, CTA).name == "cta"


def test_the_same_again_is_no_error_and_another_body_is(call, tmp_path):
    call(*CREATE)
    code, _, err = call(*CREATE)
    assert (code, len(events(tmp_path))) == (0, 1)
    assert "is registered already, with the same body." in err
    code, _, err = call(*CREATE, "--variant", "c")
    assert (code, len(events(tmp_path))) == (1, 1)
    assert "already registered with a different body" in err


def test_each_change_is_an_event_from_tomorrow_on_with_its_author(call, tmp_path):
    call(*CREATE)
    for arguments in (
        ("pause", "cta", "--reason", "holiday", "--by", "ana"),
        ("resume", CTA),
        ("add-variant", "cta", "c", "d"),
        ("retire-variant", "cta", "a"),
        ("finish", "cta"),
    ):
        code, out, err = call(*arguments)
        assert (code, out) == (0, "")
        assert f"from {TOMORROW} on: " in err
    _, paused, resumed, added, retired, finished = (
        events(tmp_path)[name] for name in ("registered.json", *_changed(5))
    )
    assert (paused["status"], paused["reason"], paused["changed_by"]) == (
        "paused",
        "holiday",
        "ana",
    )
    assert resumed["changed_by"]
    assert (resumed["status"], finished["status"]) == ("running", "finished")
    assert (added["add_variants"], retired["retire_variants"]) == (["c", "d"], ["a"])


def _changed(count):
    return [f"changed-{number:04}.json" for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("pause", "nope"), 1, "No experiment 'nope' is registered, by id or name. `mab exp"),
        (("show", "nope"), 1, "No experiment 'nope' is registered"),
        (("retire-variant", "cta", "nope"), 1, "retires the variant 'nope', which is not active"),
        (("retire-variant", "cta", "a", "a"), 2, "must not name a variant twice"),
        (("add-variant", "cta", " a"), 2, "must not begin or end with white space"),
        (("add-variant", "cta", "a\u200bb"), 1, "must not contain characters that cannot be seen"),
        (("pause", "cta", "--by", ""), 2, "changed_by: String should have at least 1 character"),
        (("create", "x", "--control", "a", "--variant", "a"), 2, "must be distinct"),
        (("create", "", "--control", "a", "--variant", "b"), 2, "name: String should have"),
        (("create", "x", "--control", "a"), 2, "Missing option"),
        (("create", "x\ny", "--control", "a", "--variant", "b"), 2, "control characters"),
        (("rename", "cta"), 2, "No such command"),
    ],
)
def test_rubbish_is_a_sentence_and_stores_nothing(call, tmp_path, arguments, code, expected):
    call(*CREATE)
    got, out, err = call(*arguments)
    assert (got, out) == (code, "")
    assert expected in " ".join(err.split())
    assert list(events(tmp_path)) == ["registered.json"]
    assert len(list((tmp_path / "home" / "inbox" / "experiments").iterdir())) == 1


def test_list_and_show_tell_what_is_and_what_begins_tomorrow(call):
    code, out, err = call("list")
    assert (code, out) == (0, "")
    assert "No experiment is registered: `mab experiments create`" in err
    call(*CREATE)
    call("pause", "cta", "--reason", "holiday", "--by", "ana")
    _, out, _ = call("list")
    assert "running; from " + TOMORROW + " on: status paused" in " ".join(out.split())
    assert "control *, a, b" in out
    _, out, _ = call("show", "cta")
    assert f"cta ({CTA}): running" in out
    assert f"from {TOMORROW} on: status paused, by ana: holiday" in out


def test_list_and_show_as_data(call):
    assert json.loads(call("list", "--format", "json")[1]) == []
    call(*CREATE)
    call("pause", "cta", "--by", "ana")
    (document,) = json.loads(call("show", "cta", "--format", "json")[1])
    assert document["variants"][1] == {"name": "a", "is_control": False, "status": "active"}
    assert document["changes"][0]["effective_date"] == TOMORROW
    rows = list(csv.DictReader(io.StringIO(call("list", "--format", "csv")[1])))
    assert [row["variant_name"] for row in rows] == ["control", "a", "b"]
    assert [row["is_control"] for row in rows] == ["true", "false", "false"]


def test_no_name_is_a_formula_in_the_csv(call):
    names = ["=1+1", "+1", "-1", "@sum", "a=1"]
    call("create", "=A1", f"--control={names[0]}", *(f"--variant={name}" for name in names[1:]))
    rows = list(csv.DictReader(io.StringIO(call("list", "--format", "csv")[1])))
    assert {row["experiment_name"] for row in rows} == {"'=A1"}
    assert [row["variant_name"] for row in rows] == ["'=1+1", "'+1", "'-1", "'@sum", "a=1"]
    (document,) = json.loads(call("list", "--format", "json")[1])
    assert [variant["name"] for variant in document["variants"]] == names


def test_a_number_in_a_csv_stays_a_number(capsys):
    rows = [{"variant": "-1", "lift": -0.25, "count": -1, "is_control": True}]
    print_csv(("variant", "lift", "count", "is_control", "note"), rows)
    assert capsys.readouterr().out.splitlines()[1] == "'-1,-0.25,-1,true,"


def test_own_options_are_shown_and_so_is_their_change(call, tmp_path):
    call(*CREATE)
    folder = tmp_path / "home" / "inbox" / "experiments" / CTA
    event = json.loads((folder / "registered.json").read_text())
    own = {"decision_preset": "safe", "exploration": 0.05}
    (folder / "registered.json").write_text(json.dumps(event | {"decision": own}))
    change = {"experiment_id": CTA, "created_at": event["created_at"], "decision": {}}
    robust = change | {"decision": {"decision_preset": "robust"}}
    (folder / "changed.json").write_text(json.dumps(change))
    _, out, _ = call("show", "cta")
    lines = out.splitlines()
    assert "options of its own: DECISION_PRESET=safe, EXPLORATION=0.05" in lines
    assert lines[-1] == f"from {TOMORROW} on: options of the installation"
    (document,) = json.loads(call("show", "cta", "--format", "json")[1])
    assert document["decision"] == own
    assert document["changes"][0]["decision"] == {}
    (folder / "changed.json").unlink()
    (folder / "robust.json").write_text(json.dumps(robust))
    assert call("show", "cta")[1].splitlines()[-1] == (
        f"from {TOMORROW} on: options of its own: DECISION_PRESET=robust (with the windows of the "
        "installation)"
    )


def test_a_mab_inbox_that_is_not_there_is_not_made(call, monkeypatch, tmp_path):
    monkeypatch.setenv("MAB_INBOX", str(tmp_path / "typo"))
    for arguments in (CREATE, ("list",)):
        code, _, err = call(*arguments)
        assert code == 1
        assert "is not a folder" in err
    assert not (tmp_path / "typo").exists()


def test_the_version_is_that_of_the_package_and_of_the_api(call):
    from mab_api.openapi import VERSION  # noqa: PLC0415  # the web framework, for this test alone

    assert call(verb="--version")[:2] == (0, f"mab {mab_version()}\n")
    assert mab_version() == VERSION

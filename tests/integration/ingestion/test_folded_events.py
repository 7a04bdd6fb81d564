"""Event files that a run has folded: everything reads as before, and damage is an error."""

from datetime import date

import pytest

from mab_pipeline.allocation.recorded import find_record
from mab_pipeline.ingestion import folded_events
from mab_pipeline.ingestion.late_data import find_arrivals
from mab_pipeline.ingestion.loaders import load_experiments
from mab_pipeline.operations.doctor import examine
from mab_pipeline.operations.experiments import find_experiment, list_experiments
from mab_pipeline.operations.replay import replay
from mab_pipeline.operations.unfold import main as unfold
from mab_pipeline.recovery.rebuild import rebuild
from mab_store.errors import InboxError
from mab_store.files import settled_days
from mab_store.files.inbox import Inbox

DAY, NEXT = "2025-03-18", "2025-03-19"
OLD = "2025-01-10"
NAMES = ("cta", "checkout", "banner")


@pytest.fixture(scope="module")
def patched():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def folded(make_world, patched):
    """A day ran with loose files; the run of the next one folded them."""
    world = make_world()
    for name in NAMES:
        world.register(name)
    world.change("cta", "2025-03-15T10:00:00Z", add_variants=["c"])
    world.drop("experiments/broken.json", "{")
    for day in (DAY, NEXT):
        rows = [(name, v, 1000, 30) for name in NAMES for v in ("control", "variant_a")]
        world.metrics(day, *rows, ("cta", "c", 900, 30))
    world.metrics(OLD, ("cta", "control", 9, 1))
    patched.setattr(folded_events, "AGE_SECONDS", -60.0)
    world.run(DAY)
    world.loose = sorted(path.name for path in (world.inbox / "experiments").iterdir())
    patched.setattr(folded_events, "FOLDERS_KEPT", 2)
    world.run(NEXT)
    return world


def state_of(world, name):
    listed = find_experiment(world.settings, name)
    return listed.row, listed.variants, listed.changes, listed.errors


def test_a_run_folds_what_it_loaded_and_leaves_a_broken_file_alone(folded):
    assert len(folded.loose) == len(NAMES) + 1
    assert [path.name for path in (folded.inbox / "experiments").iterdir()] == ["broken.json"]
    assert len(list((folded.inbox / "folded").iterdir())) == 1
    files = folded.query("select error is null, count(*) from inbox_files group by 1 order by 1")
    assert files == [(False, 1), (True, len(NAMES) + 4 - 1)]


def test_nothing_in_a_segment_is_new_and_all_of_it_is_without_the_journal(folded, make_world):
    arrivals = find_arrivals(folded.platform)
    assert arrivals.events == []
    other = make_world()
    (other.inbox / "folded").mkdir(parents=True)
    (segment,) = (folded.inbox / "folded").iterdir()
    (other.inbox / "folded" / segment.name).write_bytes(segment.read_bytes())
    assert len(find_arrivals(other.platform).events) == len(NAMES) + 1


def test_lists_replay_and_rebuild_read_folded_events(folded):
    listed = list_experiments(folded.settings)
    assert [each.row["experiment_name"] for each in listed] == sorted(NAMES)
    assert [row["variant_name"] for row in state_of(folded, "cta")[1]] == [
        "control",
        "variant_a",
        "c",
    ]
    with folded.platform.warehouse.published() as copy:
        result = replay(folded.platform, find_record(copy, "cta", date.fromisoformat(NEXT)))
    assert result.is_exact
    assert result.notes == []
    before = folded.tables(volatile=True)
    for path in folded.home.glob("warehouse.duckdb*"):
        path.unlink()
    rebuild(folded.platform)
    assert folded.tables(volatile=True) == before


def test_a_damaged_segment_fails_the_registry_and_doctor_and_changes_nothing(folded):
    (segment,) = (folded.inbox / "folded").iterdir()
    whole, before = segment.read_bytes(), folded.tables()
    segment.write_bytes(whole[:-1])
    try:
        inbox = {f.part: f for f in examine(folded.platform, folded.instance, with_api=False)}
        assert not inbox["inbox"].is_ok
        assert "is damaged" in inbox["inbox"].detail
        with pytest.raises(InboxError, match="is damaged"):
            load_experiments(folded.platform)
        assert folded.tables() == before
    finally:
        segment.write_bytes(whole)


def test_old_days_are_looked_at_again_once_something_enters_them_or_time_has_passed(
    folded, patched
):
    listed: list[str] = []
    real = Inbox.metric_files

    def noting(self, start, end):
        listed.append(str(start))
        return real(self, start, end)

    def looked_at():
        listed.clear()
        found = find_arrivals(folded.platform).metrics
        return sorted(set(listed)), sorted(found)

    patched.setattr(Inbox, "metric_files", noting)
    patched.setattr(settled_days, "SETTLED_SECONDS", -60.0)
    path = folded.inbox / "metrics" / OLD
    unloaded = f"metrics/{OLD}/export.csv"
    assert looked_at() == ([OLD, DAY, NEXT], [unloaded])
    assert looked_at() == ([OLD, DAY, NEXT], [unloaded])  # it is not loaded: not settled
    (path / "export.csv").rename(folded.home / "export.csv")
    assert looked_at() == ([OLD, DAY, NEXT], [])
    assert looked_at() == ([DAY, NEXT], [])
    (folded.home / "export.csv").rename(path / "export.csv")
    assert looked_at() == ([OLD, DAY, NEXT], [unloaded])
    (path / "export.csv").unlink()
    assert looked_at()[0] == [OLD, DAY, NEXT]
    assert looked_at()[0] == [DAY, NEXT]
    patched.setattr(settled_days, "LOOKED_AT_SECONDS", 0.0)
    folded.platform.settled._until.clear()
    assert looked_at()[0] == [OLD, DAY, NEXT]
    assert looked_at()[0] == [OLD, DAY, NEXT]


def test_unfolding_leaves_single_files_for_an_older_version(folded, monkeypatch, capsys):
    before = state_of(folded, "cta")
    monkeypatch.setenv("MAB_HOME", str(folded.home))
    assert unfold() == 0
    assert capsys.readouterr().out == "4 event files written; no segment is left.\n"
    assert list((folded.inbox / "folded").iterdir()) == []
    assert sorted(path.name for path in (folded.inbox / "experiments").iterdir()) == folded.loose
    assert state_of(folded, "cta") == before
    assert find_arrivals(folded.platform).events == []

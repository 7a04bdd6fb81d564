"""Exports that a supplier drops into inbox/exports/<name>/: a run and the sensor take them in."""

from datetime import date

import dagster as dg
import pytest

from mab_pipeline.operations.doctor import examine
from mab_pipeline.sensors import inbox_sensor
from mab_pipeline.sources.dropped import take_exports
from mab_pipeline.sources.mapping import parse_mapping, save_mapping

HEAD = "Date;Creative;Views;Clicks\n"
DAY = "14/03/2025;control;1.000;30\n14/03/2025;blue;1.100;44\n"
MAPPING = {
    "date_column": "Date",
    "date_format": "DD/MM/YYYY",
    "experiment": "checkout",
    "variant_column": "Creative",
    "impressions_column": "Views",
    "clicks_column": "Clicks",
    "decimal": "comma",
}


@pytest.fixture(scope="module")
def world(make_world):
    world = make_world(now="2025-03-15T02:00:00")
    world.register("checkout", "control", "blue")
    mapping = parse_mapping(MAPPING, subject="The test")
    save_mapping(world.settings, "shop", mapping)
    return world


def tick(world):
    context = dg.build_sensor_context(
        instance=world.instance, resources={"platform": world.platform}
    )
    return list(inbox_sensor(context))


def names(world, folder):
    return sorted(path.name for path in (world.inbox / folder).glob("*") if path.is_file())


def exports(world):
    found = examine(world.platform, world.instance, with_api=False)
    return next(finding for finding in found if finding.part == "exports")


def test_a_run_takes_an_export_in_and_publishes_its_counts(world):
    world.drop("exports/shop/night.csv", HEAD + DAY)
    assert exports(world).detail == "1 wait for the next run"
    world.run("2025-03-14")
    assert world.windows("checkout", "2025-03-14")["blue"][2:] == (1100, 44)
    (stored,) = names(world, "metrics/2025-03-14")
    assert stored.startswith("shop.")
    (done,) = names(world, "exports/shop/done")
    assert done.startswith("night.")
    assert names(world, "exports/shop") == []


def test_the_same_counts_again_add_nothing_and_the_sensor_asks_for_no_run(world):
    before = names(world, "metrics/2025-03-14")
    world.drop("exports/shop/again.csv", HEAD + "".join(reversed(DAY.splitlines(keepends=True))))
    (answer,) = tick(world)
    assert isinstance(answer, dg.SkipReason)
    assert names(world, "metrics/2025-03-14") == before
    assert len(names(world, "exports/shop/done")) == 2


def test_a_corrected_export_is_a_correction_that_the_sensor_takes_in(world):
    world.drop("exports/shop/late.csv", HEAD + DAY.replace("44", "45"))
    (request,) = tick(world)
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == "2025-03-14"
    receipts = world.platform.inbox.receipts_of(date(2025, 3, 14)).values()
    newest = max(receipts, key=lambda receipt: receipt.received_at)
    assert b"checkout,blue,1100,45" in (world.inbox / newest.source_file).read_bytes()


def test_a_broken_export_is_set_aside_with_its_reason_and_stops_nothing(world):
    world.drop("exports/shop/bad.csv", HEAD + "soon;control;1;1\n")
    world.drop("exports/shop/empty.csv", "")
    world.drop("exports/shop/.hidden.csv", HEAD)
    world.drop("exports/shop/half.csv.part", HEAD)
    before = names(world, "metrics/2025-03-14")
    taken = take_exports(world.platform)
    assert set(taken.broken) == {"exports/shop/bad.csv", "exports/shop/empty.csv"}
    assert names(world, "metrics/2025-03-14") == before
    aside = names(world, "exports/shop/broken")
    assert len(aside) == 4
    assert sum(name.endswith(".why.txt") for name in aside) == 2
    finding = exports(world)
    assert not finding.is_ok
    assert "2 cannot be imported: exports/shop/broken/bad." in finding.detail
    assert "which is no date of the form DD/MM/YYYY" in finding.detail
    assert names(world, "exports/shop") == [".hidden.csv", "half.csv.part"]


def test_a_folder_without_a_usable_mapping_waits_and_doctor_says_why(world):
    for name in names(world, "exports/shop/broken"):
        (world.inbox / "exports/shop/broken" / name).unlink()
    world.drop("exports/unknown/a.csv", HEAD + DAY)
    assert take_exports(world.platform).broken == {}
    assert names(world, "exports/unknown") == ["a.csv"]
    assert "mab import FILE --name unknown" in exports(world).detail
    mappings = world.home / "mappings"
    (mappings / "unknown.toml").write_text("date_colum = 'Date'\n")
    assert "date_colum" in exports(world).detail
    (mappings / "unknown.toml").write_text("date_column = \n")
    assert "cannot be read" in exports(world).detail


def test_no_name_of_a_file_or_folder_ends_a_run(world):
    world.drop("exports/stray.csv", HEAD)
    world.drop("exports/a b/x.csv", HEAD)
    world.drop(f"exports/shop/{'x' * 250}.csv", HEAD)
    (world.inbox / "exports/shop/link.csv").symlink_to("/etc/hostname")
    closed = world.inbox / "exports/shop/closed.csv"
    closed.write_text(HEAD + DAY)
    closed.chmod(0)
    (world.inbox / "exports/shop/folder.csv").mkdir()
    broken = take_exports(world.platform).broken
    assert "leads out of the inbox" in broken["exports/shop/link.csv"]
    assert f"exports/shop/{'x' * 250}.csv" in broken
    assert not exports(world).is_ok


def test_an_inbox_on_an_object_store_takes_exports_too(make_world):
    world = make_world(now="2025-03-15T02:00:00", mab_inbox="memory://dropped-exports")
    save_mapping(world.settings, "shop", parse_mapping(MAPPING, subject="The test"))
    root = world.platform.inbox.root
    for name, content in (("good.csv", HEAD + DAY), ("bad.csv", HEAD)):
        path = root / "exports/shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
    taken = take_exports(world.platform)
    assert [name.partition(".")[0] for name in taken.added] == ["metrics/2025-03-14/shop"]
    assert list(taken.broken) == ["exports/shop/bad.csv"]
    assert (root / taken.added[0]).exists()
    assert "has no rows of counts" in exports(world).detail


def test_a_process_that_dies_before_the_file_moves_adds_nothing_twice(world, monkeypatch):
    world.drop("exports/shop/killed.csv", HEAD + DAY.replace("44", "46"))
    with monkeypatch.context() as patch:
        patch.setattr("mab_pipeline.sources.dropped._move", _die)
        with pytest.raises(KeyboardInterrupt):
            take_exports(world.platform)
    before = names(world, "metrics/2025-03-14")
    assert take_exports(world.platform).added == []
    assert names(world, "metrics/2025-03-14") == before
    assert names(world, "exports/shop").count("killed.csv") == 0


def _die(*_arguments):
    raise KeyboardInterrupt

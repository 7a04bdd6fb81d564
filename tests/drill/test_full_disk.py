"""A disk that is really full: a small one in memory, where this machine lets us mount it.

Anyone who may not mount is left with the quota of `tests/integration/recovery/test_recovery.py`,
which proves the same for every user; the reason of the skip says so.
"""

import os
import shutil
import subprocess

import pytest

from mab_store.clock import utc_now

DAY, NEXT = "2025-03-18", "2025-03-19"
NAME = "checkout"
DISK_BYTES = 48 << 20


@pytest.fixture
def small_disk(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here; test_recovery.py does it by quota")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


@pytest.fixture(scope="module")
def template(make_world, mab):
    """A home in which a day ran and the next one's file lies; and what that run leaves."""
    world = make_world(clock=utc_now)
    world.register(NAME)
    for day in (DAY, NEXT):
        world.metrics(day, (NAME, "control", 300, 3), (NAME, "variant_a", 300, 9))
    assert mab(world.home)("run", "--date", DAY)[0] == 0
    undisturbed = make_world(clock=utc_now)
    shutil.copytree(world.home, undisturbed.home, dirs_exist_ok=True)
    undisturbed.run(NEXT)
    return world, undisturbed.tables()


@pytest.mark.drill
@pytest.mark.parametrize("free_kilobytes", [0, 1500])
def test_a_run_on_a_full_disk_says_so_and_is_made_good_once_there_is_space(
    free_kilobytes, template, small_disk, make_world, mab, monkeypatch
):
    source, expected = template
    home = shutil.copytree(source.home, small_disk / "home")
    command = mab(home)
    filler = small_disk / "filler"
    space = shutil.disk_usage(small_disk).free - (free_kilobytes << 10)
    filler.write_bytes(bytes(space))
    code, _, err = command("run", "--date", NEXT)
    assert code == 1
    assert "free space" in err[err.rindex("mab: ") :].lower()
    filler.unlink()
    code, _, err = command("run", "--date", NEXT)
    assert code == 0, err
    world = make_world(clock=utc_now)
    monkeypatch.setattr(world, "settings", world.settings.model_copy(update={"mab_home": home}))
    assert world.tables() == expected
    assert world.bodies()[NAME]["as_of_date"] == NEXT

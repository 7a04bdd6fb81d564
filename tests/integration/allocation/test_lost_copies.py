"""A copy that lost what readers are served is refused, unless a person wants the loss."""

import pytest

from mab_pipeline.allocation.publish import serve
from mab_store.errors import PublicationRefusedError
from tests.integration.steps import publish_days, run

DAY = "2025-03-17"


def test_a_copy_that_lacks_what_readers_have_is_refused_unless_the_loss_is_intended(make_world):
    world = make_world(now="2025-03-18T02:00:00", mab_auto_rebuild="off")
    world.register("good")
    world.metrics(DAY, *[("good", variant, 400, 4) for variant in ("control", "variant_a")])
    run(world, DAY)
    for table in ("publications", "experiments", "variants", "allocations"):
        world.query(f"delete from {table}")
    with pytest.raises(PublicationRefusedError):
        publish_days(world, DAY)
    with pytest.raises(PublicationRefusedError):
        serve(world.platform)
    assert "good" in world.bodies()
    publish_days(world, DAY, accept_loss=True)
    assert world.bodies() == {}

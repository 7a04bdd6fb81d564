"""A Dagster job with empty bodies, as a command: `python tests/bench/empty_job.py SHAPE DAY`.

SHAPE is JSON: the checks of each asset, by asset, in order. Nothing of ours is imported, so its
time is Dagster's own.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

Shape = Mapping[str, Sequence[str]]


def empty_job(shape: Shape) -> dg.JobDefinition:
    """Return a job of these assets, one behind the other, and a step of checks for each."""
    partitions = dg.DailyPartitionsDefinition(start_date="2025-01-01", timezone="UTC")

    def empty(name: str, before: str | None) -> dg.AssetsDefinition:
        @dg.asset(name=name, partitions_def=partitions, deps=[before] if before else [])
        def nothing() -> None:
            return None

        return nothing

    def empty_checks(name: str) -> dg.AssetChecksDefinition:
        specs = [
            dg.AssetCheckSpec(check, asset=name, partitions_def=partitions) for check in shape[name]
        ]

        @dg.multi_asset_check(name=f"{name}_checks", specs=specs)
        def nothing() -> Iterator[dg.AssetCheckResult]:
            for check in shape[name]:
                yield dg.AssetCheckResult(passed=True, check_name=check, asset_key=name)

        return nothing

    definitions = dg.Definitions(
        assets=[empty(*pair) for pair in zip(shape, [None, *shape], strict=False)],
        asset_checks=[empty_checks(name) for name in shape],
        jobs=[dg.define_asset_job("nothing", selection=dg.AssetSelection.all())],
        executor=dg.in_process_executor,
    )
    return definitions.resolve_job_def("nothing")


def main(shape: str, day: str) -> None:
    """Run the job on the instance of DAGSTER_HOME."""
    job = empty_job(json.loads(shape))
    with dg.DagsterInstance.get() as instance:
        assert job.execute_in_process(instance=instance, partition_key=day).success


if __name__ == "__main__":
    main(*sys.argv[1:])

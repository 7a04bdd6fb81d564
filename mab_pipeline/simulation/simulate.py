"""Every policy in every world: seeds, batches of repetitions, and progress."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mab_pipeline.simulation.outcome import Detail, summarise
from mab_pipeline.simulation.play import Played, play
from mab_pipeline.simulation.policy import Policy
from mab_pipeline.simulation.truth import draw_truth
from mab_pipeline.simulation.worlds import World
from mab_store.errors import UsageError

MAX_REPS = 20_000
MAX_SIZE = 20_000_000
"""Most days times repetitions times variants of a pair: about 2 GB."""

# Numbers that an array of a batch may hold: days times repetitions times variants.
_BATCH = 2_000_000


class Step(NamedTuple):
    """A report of progress.

    Attributes:
        text: World and policy at work.
        done: Share of all work that is done, 0 to 1.
    """

    text: str
    done: float


def simulate(
    worlds: Sequence[World],
    policies: Sequence[Policy],
    *,
    reps: int,
    seed: int,
    follow: Callable[[Step], None] = lambda _: None,
) -> Iterator[Detail]:
    """Play every policy in every world.

    Args:
        worlds: The worlds, with distinct names.
        policies: The policies.
        reps: Repetitions of each pair, 1 to `MAX_REPS`.
        seed: Any integer from 0; the same one gives the same figures, to the last bit.
        follow: Is told of each pair before it is played.

    Yields:
        The outcomes, world by world.

    Raises:
        UsageError: A world is too large for so many repetitions.

    Notes:
        The random factors of a world are the same for every policy. A pair's figures depend on its
        world, its policy's settings, `reps` and `seed`; not on the other worlds and policies.
    """
    for world in worlds:
        if (size := reps * world.days * len(world.rates)) > MAX_SIZE:
            raise UsageError(
                f"{reps} repetitions of {world.name} are {size:,} shares, more than the "
                f"{MAX_SIZE:,} that are held in memory. Use at most "
                f"{MAX_SIZE // (world.days * len(world.rates))} repetitions."
            )
    count = len(worlds) * len(policies)
    for place, world in enumerate(worlds):
        for number, policy in enumerate(policies):
            done = (place * len(policies) + number) / count
            follow(Step(f"{world.name}, {policy.name}", done))
            yield _pair(world, policy, reps=reps, seed=seed)


def _pair(world: World, policy: Policy, *, reps: int, seed: int) -> Detail:
    size = max(1, _BATCH // (world.days * len(world.rates)))
    parts = []
    for batch, start in enumerate(range(0, reps, size)):
        own = seeded(seed, world.name, "truth", batch)
        truth = draw_truth(world, min(size, reps - start), own)
        dice = seeded(seed, world.name, "play", batch)
        parts.append((truth, play(truth, policy.rule, dice)))
    rates = np.concatenate([truth.rates for truth, _ in parts], axis=1)
    truth = parts[0][0]._replace(rates=rates)
    arrays = zip(*(played for _, played in parts), strict=True)
    played = Played(*(np.concatenate(array, axis=1) for array in arrays))
    return summarise((world.name, policy.name), truth, played)


def seeded(seed: int, *purpose: object) -> np.random.Generator:
    """Return a generator of its own for each purpose."""
    text = "|".join(map(str, ("mab-simulation-v1", seed, *purpose)))
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.Generator(np.random.SFC64(int.from_bytes(digest, "big")))

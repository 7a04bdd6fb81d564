"""Shards: cut the experiments into parts that separate runs decide.

Nothing joins the parts: a decision depends on its own experiment alone. The run that publishes
decides the experiments that no shard has decided.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa

from mab_store.errors import UsageError

MOST_SHARDS = 1000


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several equal parts of the experiments.

    Attributes:
        number: Which part, 1 to `count`.
        count: How many parts there are, 1 to 1000.

    Raises:
        UsageError: There is no such part.
    """

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count <= MOST_SHARDS:
            raise UsageError(
                f"There is no shard {self.number} of {self.count}: give 1/7 to 7/7 for seven, at "
                f"most {MOST_SHARDS}."
            )

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2/7`.

        Raises:
            UsageError: It is written otherwise, or there is no such shard.
        """
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if match is None:
            raise UsageError(f"The shard {text!r} is not written as 2/7, the second of seven.")
        return cls(int(match[1]), int(match[2]))

    @property
    def is_whole(self) -> bool:
        """Whether this is the only shard."""
        return self.count == 1

    def holds(self, experiment_id: str) -> bool:
        """Say whether an experiment is in this part; the same on every machine and day."""
        digest = hashlib.sha256(experiment_id.encode()).digest()
        return int.from_bytes(digest[:8]) % self.count == self.number - 1

    def of(self, rows: pa.Table) -> pa.Table:
        """Return the rows of this part's experiments, in their order."""
        if self.is_whole or len(rows) == 0:
            return rows
        names = rows["experiment_id"].combine_chunks().dictionary_encode()
        is_held = np.array([self.holds(name) for name in names.dictionary.to_pylist()])
        return rows.filter(pa.array(is_held[names.indices.to_numpy()]))

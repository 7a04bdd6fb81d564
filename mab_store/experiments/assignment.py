"""The bucket of a session and the variant of a bucket, by the hash that docs/API.md documents."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

N_BUCKETS = 100


def bucket_of(experiment_id: str, session_id: str) -> int:
    """Return the bucket of a session, 0 to 99.

    The first 8 bytes, big-endian, of the SHA-256 of `experiment_id + ":" + session_id` (UTF-8),
    modulo 100. The experiment is the salt: a session's buckets in two experiments are independent.
    """
    digest = hashlib.sha256(f"{experiment_id}:{session_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % N_BUCKETS


def variant_of(bucket: int, allocations: Iterable[Mapping[str, Any]]) -> str:
    """Return the variant whose buckets hold this one.

    Args:
        bucket: 0 to 99.
        allocations: Variants of an allocation body, each with its `buckets`.

    Raises:
        LookupError: No variant of the body has this bucket.
    """
    for variant in allocations:
        if any(first <= bucket <= last for first, last in variant["buckets"]):
            return str(variant["variant_name"])
    raise LookupError(f"bucket {bucket} belongs to no variant")

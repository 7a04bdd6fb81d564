"""The client for services that assign sessions: it goes on when the API does not.

It runs in other teams' services, so it needs the standard library and httpx alone, and imports none
of our other packages. A call on the caller's path raises nothing and touches no disk or network.
"""

from mab_client.buckets import bucket
from mab_client.client import Client, Status
from mab_client.document import Assignment
from mab_client.exposures import Exposure
from mab_client.sticky import MemorySticky, StickyStore

__all__ = [
    "Assignment",
    "Client",
    "Exposure",
    "MemorySticky",
    "Status",
    "StickyStore",
    "bucket",
]

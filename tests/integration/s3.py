"""A local server that speaks S3, with one bucket, for the stores' own packages."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

SECRET = "s3-secret-key"  # of a server of the tests


@contextmanager
def bucket_named(name: str) -> Iterator[Any]:
    """Serve a bucket, with the environment that leads to it; yield a client."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "reader")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("NO_PROXY", "127.0.0.1")
        client = boto3.client("s3")
        client.create_bucket(Bucket=name)
        yield client
    server.stop()

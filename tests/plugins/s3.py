"""An S3 server on this machine (moto's), one for the whole run, and buckets on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import uuid4

import boto3
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

KEY, SECRET, REGION = "key", "secret", "us-east-1"


@cache
def _server() -> str:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()  # in a daemon thread: it ends with the process
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


@dataclass(frozen=True)
class Bucket:
    """A bucket of its own."""

    name: str
    endpoint: str
    client: Any

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def put_directly(self, key: str, content: bytes) -> None:
        """Without the way over HTTP, for many objects."""
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(self.name, key, content)

    def remove(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)


@contextmanager
def bucket() -> Iterator[Bucket]:
    endpoint = _server()
    client = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name=REGION
    )
    made = Bucket(f"bucket-{uuid4().hex}", endpoint, client)
    client.create_bucket(Bucket=made.name)
    try:
        yield made
    finally:
        client.close()

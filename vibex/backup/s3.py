"""Backups in storage that speaks S3. Streamed in parts: nothing of the object is seen before its last part is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, cast
from urllib.parse import urlsplit

from vibex.backup.domain.names import name_of
from vibex.lib.errors import NeedsOperator, Rejected, Retryable
from vibex.lib.masking import mask_text

if TYPE_CHECKING:
    from minio import Minio

PART_BYTES: Final = 32 << 20
"""Of 10,000 parts at most: enough for 320 GB, and what is held in memory of one upload."""


class Bucket:
    """A bucket and a prefix in it, as BACKUP_S3_URL names them: https://host/bucket/prefix."""

    def __init__(self, url: str, *, access_key: str | None, secret_key: str | None, region: str | None) -> None:
        parts = urlsplit(url)
        bucket, _, prefix = parts.path.strip("/").partition("/")
        if not bucket:
            raise NeedsOperator("BACKUP_S3_URL names no bucket: https://s3.example.com/bucket/vibex.")
        if not (access_key and secret_key):
            raise NeedsOperator("BACKUP_S3_URL needs BACKUP_S3_ACCESS_KEY and BACKUP_S3_SECRET_KEY.")
        self._server, self._secure, self._region = parts.netloc, parts.scheme == "https", region
        self._keys = access_key, secret_key
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self.place = f"s3://{bucket}/{self._prefix}"

    def files(self) -> dict[str, int]:
        with _told(self.place):
            rows = self._client().list_objects(self._bucket, prefix=self._prefix)
            found = {str(row.object_name).removeprefix(self._prefix): row.size or 0 for row in rows}
        return {name: size for name, size in found.items() if name_of(name)}

    def put(self, file: str, reader: BinaryIO) -> None:
        with _told(self.place):
            self._client().put_object(
                self._bucket, self._prefix + file, cast("BinaryIO", _Full(reader)), length=-1, part_size=PART_BYTES
            )

    @contextmanager
    def opened(self, file: str) -> Iterator[BinaryIO]:
        with _told(self.place):
            answer = self._client().get_object(self._bucket, self._prefix + file)
        try:
            with _told(self.place):  # it may break off while it is read
                yield cast("BinaryIO", answer)
        finally:
            answer.close()
            answer.release_conn()

    def remove(self, file: str) -> None:
        with _told(self.place):
            self._client().remove_object(self._bucket, self._prefix + file)

    def sweep(self) -> None:
        """Leave parts of broken uploads to the bucket's own rule: it has one for this (docs/backup.md)."""

    def _client(self) -> Minio:
        from minio import Minio

        access_key, secret_key = self._keys
        return Minio(
            self._server, access_key=access_key, secret_key=secret_key, secure=self._secure, region=self._region
        )


class _Full:
    """A reader that gives as much as it is asked for until the end: a pipe gives less, and a part would be short."""

    def __init__(self, reader: BinaryIO) -> None:
        self._reader = reader

    def read(self, wanted: int = -1) -> bytes:
        pieces, left = list[bytes](), wanted
        while left and (piece := self._reader.read(left)):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)


@contextmanager
def _told(place: str) -> Iterator[None]:
    """Say of faults of the storage what is to be done."""
    from minio.error import MinioException, S3Error
    from urllib3.exceptions import HTTPError

    try:
        yield
    except S3Error as fault:
        if fault.code in ("NoSuchKey", "NoSuchObject"):
            raise Rejected(f"{fault.object_name} is not in {place}.", code="missing") from None
        if fault.code in ("SlowDown", "InternalError", "ServiceUnavailable"):
            raise Retryable(f"{place} is busy: {fault.code}") from None
        raise NeedsOperator(
            f"{place} refuses ({fault.code}: {mask_text(str(fault.message or ''))[:200]}): "
            "check BACKUP_S3_URL, the bucket, its keys and what they may do."
        ) from None
    except (MinioException, HTTPError) as fault:
        raise Retryable(f"{place} could not be reached: {mask_text(str(fault))[:200]}") from None

"""A sha256 behind the content of a file: checkpoints end with one, and so did the manifests of older versions."""

import hashlib
import io
import os
from typing import BinaryIO

_SHA256_BYTES = 32
_BLOCK_BYTES = 1 << 20


def append_checksum(data: memoryview) -> bytes:
    """Return the content with its sha256 appended; HDF5 does not read behind its own end of file."""
    return bytes(data) + hashlib.sha256(data).digest()


def check_checksum(data: bytes) -> BinaryIO | None:
    """Return the content as a stream, without its checksum; None if the checksum does not match."""
    content, digest = memoryview(data)[:-_SHA256_BYTES], data[-_SHA256_BYTES:]
    return io.BytesIO(content) if hashlib.sha256(content).digest() == digest else None


def has_valid_checksum(file: BinaryIO) -> bool:
    """Return whether an open file ends with the sha256 of its content; reads it in blocks of 1 MiB."""
    remaining = file.seek(0, os.SEEK_END) - _SHA256_BYTES
    file.seek(0)
    digest = hashlib.sha256()
    while remaining > 0 and (block := file.read(min(remaining, _BLOCK_BYTES))):
        digest.update(block)
        remaining -= len(block)
    return file.read() == digest.digest()

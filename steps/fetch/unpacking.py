"""Unpack an answer piece by piece, so that a small answer that unpacks to a huge one is noticed on the way."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

_PIECE: Final = 1 << 16
_GZIP: Final = 16 + zlib.MAX_WBITS


class CannotUnpack(Exception):
    """The bytes are not what the answer's Content-Encoding says."""


class Unpacker:
    """Gives an answer's bytes as they were before they were packed; knows gzip, the one encoding that is asked for.

    In bounded pieces, because of a gzip bomb 64 KiB become 64 MiB at once.
    """

    def __init__(self, encoding: str) -> None:
        self._packed = encoding.strip().lower() not in {"", "identity"}
        if self._packed and encoding.strip().lower() != "gzip":
            raise CannotUnpack(f"Content-Encoding {encoding[:40]!r} was not asked for")
        self._member = zlib.decompressobj(_GZIP)

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what a chunk unpacks to, at most 64 KiB at a time; raises CannotUnpack."""
        if not self._packed:
            yield chunk
            return
        piece = b""
        # A full piece without a rest of the chunk may still have left some of its text inside zlib.
        while chunk or len(piece) == _PIECE:
            try:
                piece = self._member.decompress(chunk, _PIECE)
            except zlib.error as fault:
                raise CannotUnpack(str(fault)) from None
            chunk = self._member.unconsumed_tail
            if self._member.eof:
                # A gzip file may be several, one after the other.
                chunk = self._member.unused_data
                self._member = zlib.decompressobj(_GZIP)
            yield piece

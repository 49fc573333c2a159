"""Nothing is lost between an answer and the disk: syncs are shared, tails are cut, a full disk keeps nothing."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.spool import Spool, SpoolFull, SpoolInUse, read_segment

PLENTY = 1 << 30


def append(spool: Spool, *payloads: bytes) -> list[BaseException | None]:
    """Append payloads at once, and return what became of each."""

    async def all_of_them() -> list[BaseException | None]:
        return await asyncio.gather(*(spool.append(one) for one in payloads), return_exceptions=True)

    return asyncio.run(all_of_them())


def held(folder: Path) -> list[bytes]:
    """Return every payload of every segment."""
    return [payload for path in sorted(folder.glob("*.log")) for payload in read_segment(path).payloads]


def test_what_was_appended_is_there_in_order_whatever_happens_next(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PLENTY)
    payloads = [f"payload {number}".encode() for number in range(100)]
    assert append(spool, *payloads) == [None] * 100
    # Not closed: as after a kill.
    assert held(tmp_path) == payloads
    assert spool.held_bytes == sum(len(one) + 10 for one in payloads)
    spool.close()


def test_appends_share_their_syncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[int] = []
    real = os.fdatasync

    def counted(descriptor: int) -> None:
        syncs.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", counted)
    spool = Spool(tmp_path, PLENTY)
    append(spool, *[b"x"] * 200)
    spool.close()
    assert 1 <= len(syncs) <= 100


def test_segments_are_closed_when_full_shipped_and_removed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PLENTY, segment_bytes=100)
    for number in range(10):
        append(spool, b"%030d" % number)
    closed = spool.closed()
    assert len(closed) >= 3
    assert held(tmp_path) == [b"%030d" % number for number in range(10)]
    for path in closed:
        spool.remove(path)
    spool.rotate()
    for path in spool.closed():
        spool.remove(path)
    assert spool.held_bytes == 0
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_what_was_set_aside_is_kept_whatever_comes_after_a_restart(tmp_path: Path) -> None:
    for number in range(2):
        spool = Spool(tmp_path, PLENTY)
        append(spool, b"%d" % number)
        spool.rotate()
        spool.set_aside(*spool.closed())
        spool.close()
    kept = sorted(tmp_path.glob("*.refused"))
    assert [read_segment(path).payloads for path in kept] == [(b"0",), (b"1",)]


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    for number in range(3):
        spool = Spool(tmp_path, PLENTY)
        append(spool, b"%d" % number)
        spool.close()
    assert held(tmp_path) == [b"0", b"1", b"2"]
    assert len(list(tmp_path.iterdir())) == 3


# Each example waits for the disk.
@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40).filter(lambda one: b"\n" not in one), min_size=1, max_size=5),
       st.data())  # fmt: skip
def test_a_tail_cut_anywhere_costs_only_the_line_it_is_in(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    spool = Spool(folder, PLENTY)
    for one in payloads:
        append(spool, one)
    spool.close()
    (path,) = folder.iterdir()
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    found = read_segment(path)
    whole = content[:cut].count(b"\n") + (1 if content[cut : cut + 1] == b"\n" else 0)
    assert found.payloads == tuple(payloads[:whole])
    assert found.unreadable <= 1


def test_a_damaged_line_costs_only_itself(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PLENTY)
    append(spool, b"one", b"two", b"three")
    spool.close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes().replace(b"two", b"twp"))
    found = read_segment(path)
    assert (found.payloads, found.unreadable) == ((b"one", b"three"), 1)


def test_a_spool_has_a_limit_of_its_own(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100)
    assert append(spool, b"x" * 50) == [None]
    (refused,) = append(spool, b"y" * 50)
    assert isinstance(refused, SpoolFull)
    assert held(tmp_path) == [b"x" * 50]
    spool.close()


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PLENTY)
    with pytest.raises(SpoolInUse, match="a volume of its own"):
        Spool(tmp_path, PLENTY)
    spool.close()
    Spool(tmp_path, PLENTY).close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that is a disk of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("a disk that can be filled takes the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_keeps_nothing_of_what_was_refused_and_recovers(small_disk: Path) -> None:
    spool = Spool(small_disk / "spool", PLENTY)
    kept = []
    for number in range(40):
        payload = b"%02d" % number + b"x" * 3000
        (refused,) = append(spool, payload)
        if refused is None:
            kept.append(payload)
        else:
            assert isinstance(refused, SpoolFull)
            assert "No space left" in str(refused)
    assert 10 < len(kept) < 40
    assert held(small_disk / "spool") == kept
    assert all(read_segment(path).unreadable == 0 for path in (small_disk / "spool").glob("*.log"))
    spool.rotate()
    for path in spool.closed():
        spool.remove(path)
    assert append(spool, b"again") == [None]
    assert held(small_disk / "spool") == [b"again"]
    spool.close()

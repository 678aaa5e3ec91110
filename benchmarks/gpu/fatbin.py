"""GPU code in an ELF file's .nv_fatbin section: list its entries, and drop those of other chips.

A section holds containers, each with a header (its length at byte 8) and entries: PTX or machine
code of one architecture. `trim` closes each container up over the entries that are kept and fills
the rest with zeros. The file keeps its size, containers keep their addresses, and the file
compresses to what was kept.
"""

import mmap
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

CONTAINER = 0xBA55ED50
SECTIONS = (b".nv_fatbin", b"__nv_relfatbin", b".nvFatBinSegment_data")
PTX, MACHINE_CODE = 1, 2
CONTAINER_HEADER = struct.Struct("<IHHQ")
"""magic, version, header bytes, length of all entries"""
ENTRY_HEADER = struct.Struct("<HHIQ12xI")
"""kind, version, header bytes, payload bytes, architecture (90 is sm_90)"""
LEAST_ENTRY_HEADER = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One piece of GPU code; offsets are in the file."""

    container: int
    header: int
    payload: int
    size: int
    """of the payload"""
    kind: int
    arch: int

    @property
    def end(self) -> int:
        """Where the next entry starts."""
        return self.payload + self.size


Keep = Callable[[mmap.mmap, Entry], bool]


def for_chip(major: int) -> Keep:
    """Keep machine code of one major compute capability, and no PTX."""
    return lambda _file, entry: entry.kind == MACHINE_CODE and entry.arch // 10 == major


def entries(data: mmap.mmap) -> Iterator[Entry]:
    """Yield every entry; raises ValueError where the layout is not the known one."""
    for name, offset, size in _sections(data):
        if name in SECTIONS:
            yield from _of_section(data, offset, offset + size)


def trim(path: Path, keep: Keep) -> tuple[int, int]:
    """Drop the entries that are not kept, in place; return the bytes of code kept and dropped.

    A container that would be empty gets a copy of the file's smallest dropped entry, or keeps its
    own smallest where that is too long, because a driver expects one; it is never run.
    """
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        groups: dict[int, list[Entry]] = defaultdict(list)
        for entry in entries(data):
            groups[entry.container].append(entry)
        wanted = {
            start: [entry for entry in group if keep(data, entry)]
            for start, group in groups.items()
        }
        kept = [entry for chosen in wanted.values() for entry in chosen]
        known = set(kept)
        dropped = [one for group in groups.values() for one in group if one not in known]
        filler = _code(data, min(dropped, key=_bytes)) if dropped else b""
        for start, group in groups.items():
            body = b"".join(_code(data, entry) for entry in wanted[start])
            if not body:
                own = min(group, key=_bytes)
                body = filler if len(filler) <= _bytes(own) else _code(data, own)
            _replace(data, start, body)
        return sum(entry.size for entry in kept), sum(entry.size for entry in dropped)


def _bytes(entry: Entry) -> int:
    return entry.end - entry.header


def _code(data: mmap.mmap, entry: Entry) -> bytes:
    return data[entry.header : entry.end]


def _replace(data: mmap.mmap, start: int, body: bytes) -> None:
    """Make `body` all that a container holds; it is not longer than what was there."""
    magic, version, header, length = CONTAINER_HEADER.unpack_from(data, start)
    data[start + header : start + header + length] = body.ljust(length, b"\0")
    CONTAINER_HEADER.pack_into(data, start, magic, version, header, len(body))


def _of_section(data: mmap.mmap, at: int, stop: int) -> Iterator[Entry]:
    while at + CONTAINER_HEADER.size <= stop:
        magic, _, header, length = CONTAINER_HEADER.unpack_from(data, at)
        if magic != CONTAINER:
            at += 8  # containers are aligned
            continue
        entry, end = at + header, at + header + length
        while entry < end:
            kind, _, own, size, arch = ENTRY_HEADER.unpack_from(data, entry)
            if kind not in (PTX, MACHINE_CODE) or own < LEAST_ENTRY_HEADER:
                raise ValueError(f"unknown GPU code at {entry:#x}: kind {kind}, header {own}")
            if entry + own + size > end:
                raise ValueError(f"GPU code at {entry:#x} is longer than its container")
            yield Entry(at, entry, entry + own, size, kind, arch)
            entry += own + size
        at = (end + 7) & ~7


def _sections(data: mmap.mmap) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, offset and size of each section of a 64-bit ELF file."""
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3A)
    rows = [struct.unpack_from("<IIQQQQ", data, table + row * size) for row in range(count)]
    texts = rows[names][4]
    for row in rows:
        name = data[texts + row[0] : texts + row[0] + 32].partition(b"\0")[0]
        yield name, row[4], row[5]

"""The trimmer, on made-up ELF files: kept GPU code is byte-identical, and nothing else changes."""

import mmap
import struct
from pathlib import Path

import fatbin
import pytest
from fatbin import MACHINE_CODE, PTX
from hypothesis import given
from hypothesis import strategies as st

Code = tuple[int, int, bytes]
"""kind, architecture, payload"""
NAMES = b"\0.text\0.nv_fatbin\0.shstrtab\0"
ARCHITECTURES = (70, 80, 90, 100)

code = st.tuples(
    st.sampled_from([PTX, MACHINE_CODE]), st.sampled_from(ARCHITECTURES), st.binary(max_size=40)
)
containers = st.lists(st.lists(code, min_size=1, max_size=4), max_size=4)


def entry(kind: int, arch: int, payload: bytes) -> bytes:
    """Write one entry with a header of 64 bytes."""
    return struct.pack("<HHIQ12xI", kind, 1, 64, len(payload), arch).ljust(64, b"\x11") + payload


def container(group: list[Code]) -> bytes:
    """Write a container, aligned to 8 bytes."""
    body = b"".join(entry(*one) for one in group)
    whole = struct.pack("<IHHQ", fatbin.CONTAINER, 1, 16, len(body)) + body
    return whole + b"\0" * (-len(whole) % 8)


def elf(groups: list[list[Code]]) -> tuple[bytes, int]:
    """Write a 64-bit ELF file, and return the offset of its GPU code."""
    text = b"machine code of the host"
    gpu = b"".join(map(container, groups))
    start = 64 + len(text)
    names = start + len(gpu)
    table = names + len(NAMES)
    rows = [(0, 0, 0), (1, 64, len(text)), (7, start, len(gpu)), (18, names, len(NAMES))]
    sections = b"".join(
        struct.pack("<IIQQQQIIQQ", name, 1, 0, 0, offset, size, 0, 0, 0, 0)
        for name, offset, size in rows
    )
    head = bytearray(64)
    struct.pack_into("<Q", head, 0x28, table)
    struct.pack_into("<HHH", head, 0x3A, 64, len(rows), 3)
    return bytes(head) + text + gpu + NAMES + sections, start


def listed(path: Path) -> list[tuple[int, Code]]:
    """Return each entry with its container."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return [
            (one.container, (one.kind, one.arch, data[one.payload : one.end]))
            for one in fatbin.entries(data)
        ]


def size(one: Code) -> int:
    """Return the length of the payload."""
    return len(one[2])


@given(containers)
def test_kept_code_is_byte_identical_and_nothing_else_changes(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[Code]]
) -> None:
    """For any containers: the same size and addresses, and of each the wanted entries in order."""
    path = tmp_path_factory.mktemp("elf") / "library.so"
    whole, start = elf(groups)
    path.write_bytes(whole)
    before = listed(path)
    kept, dropped = fatbin.trim(path, fatbin.for_chip(9))
    trimmed = path.read_bytes()
    stop = start + sum(len(container(group)) for group in groups)
    assert len(trimmed) == len(whole)
    assert trimmed[:start] == whole[:start]
    assert trimmed[stop:] == whole[stop:]
    after = listed(path)
    assert {place for place, _ in after} == {place for place, _ in before}
    for place in {place for place, _ in before}:
        own = [one for at, one in before if at == place]
        wanted = [one for one in own if one[:2] == (MACHINE_CODE, 90)]
        left = [one for at, one in after if at == place]
        assert left == wanted or not wanted
        if not wanted:  # the file's smallest entry for other chips, so that it is not empty
            smallest = min((one for _, one in before if one[:2] != (MACHINE_CODE, 90)), key=size)
            assert left == [smallest]
    assert kept == sum(len(one[2]) for _, one in before if one[:2] == (MACHINE_CODE, 90))
    assert kept + dropped == sum(len(one[2]) for _, one in before)


def test_an_unknown_layout_is_refused(tmp_path: Path) -> None:
    """A kind that is neither PTX nor machine code: nothing is written."""
    whole, _ = elf([[(7, 90, b"compressed")]])
    (tmp_path / "library.so").write_bytes(whole)
    with pytest.raises(ValueError, match="kind 7"):
        fatbin.trim(tmp_path / "library.so", fatbin.for_chip(9))
    assert (tmp_path / "library.so").read_bytes() == whole

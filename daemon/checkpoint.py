"""The whole fleet's memory in one file, so that a restart goes on where it was: two generations of `fleet.ckpt`.

A file is safetensors: every array of `daemon.memory`, the plain values as MessagePack in the array `facts`, and in
the header of the file

    header     JSON: schema, written_second, journal and block (the position that it stands at), weights, programmes
    checksum   BLAKE2b over header and arrays

It is written beside the old one, synced and renamed; the one before stays as `fleet.ckpt.older`. A damaged one is
set aside, one of another schema refused, and both are said; then the older one serves, else the journal alone.
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import safetensors
from safetensors.numpy import save

from daemon.database import set_aside
from daemon.journal import Position
from daemon.memory import Memory, UnfitError, put
from daemon.says import Say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from daemon.fleet import Fleet
    from daemon.publish import Publisher

NAME, OLDER = "fleet.ckpt", "fleet.ckpt.older"
SCHEMA = 1  # of the meaning of arrays and facts; their names and shapes are compared anyway
FACTS = "facts"

say = Say("checkpoint")


class Header(msgspec.Struct, frozen=True):
    """What a checkpoint says of itself."""

    schema: int
    written_second: float
    journal: str
    block: int
    weights: dict[str, str] = {}
    programmes: list[list[str]] = []

    @property
    def position(self) -> Position:
        """Where in the journal it stands."""
        return Position(self.journal, self.block)


class DamagedError(Exception):
    """A file that is not what was written."""


class Checkpoints:
    """The checkpoints of one state directory."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is opened yet."""
        self._folder = folder
        self._positions: list[Position] = []  # of both generations, the older one first

    @property
    def needed(self) -> Position:
        """Tell from where on the journal must stay, so that either generation can be followed by it."""
        return self._positions[0] if self._positions else Position()

    @property
    def saved(self) -> Position:
        """Tell the position of the newest one."""
        return self._positions[-1] if self._positions else Position()

    def load(self, fleet: Fleet, publisher: Publisher) -> bool:
        """Put the newest good one into a fleet that has met no cell yet; false where there is none."""
        for path in (self._folder / NAME, self._folder / OLDER):
            try:
                header, memory = read(path)
                anew = put(memory, fleet, publisher)
            except FileNotFoundError:
                continue
            except DamagedError as err:
                set_aside(path, str(err))
                continue
            except UnfitError as err:
                say.error("refused", file=path, why=err)
                continue
            self._positions = [*self._older(path), header.position]
            say.info("restored", file=path, cells=len(fleet), age_second=round(time.time() - header.written_second, 1))
            for voice, cells in anew.items():
                say.warning("begun anew", voice=voice, cells=cells, why="other weights", start="last SOC and SOH")
            return True
        return False

    def save(self, memory: Memory, position: Position) -> int:
        """Write one; returns its bytes. Raises OSError, the ones before being as they were."""
        header = Header(SCHEMA, time.time(), *position, memory.weights, memory.programmes)
        body = _serialise(header, memory)
        new, newest = self._folder / f"{NAME}.new", self._folder / NAME
        with new.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        if newest.exists():
            newest.replace(self._folder / OLDER)
        new.replace(newest)
        _sync_folder(self._folder)
        self._positions = [*self._positions[-1:], position]
        return len(body)

    def _older(self, path: Path) -> Iterator[Position]:
        """Give the position of the generation before one, where it can be read."""
        if path.name == NAME:
            try:
                yield read_header(self._folder / OLDER).position
            except (OSError, DamagedError, UnfitError):
                return


def read_header(path: Path) -> Header:
    """Read what a checkpoint says of itself. Raises FileNotFoundError, DamagedError, UnfitError."""
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
        header = msgspec.json.decode(metadata["header"], type=Header)
    except FileNotFoundError:
        raise
    except (OSError, safetensors.SafetensorError, msgspec.DecodeError, KeyError) as err:
        raise DamagedError(str(err)) from err
    if header.schema != SCHEMA:
        raise UnfitError(f"it is of schema {header.schema}; this version reads and writes {SCHEMA}")
    return header


def read(path: Path) -> tuple[Header, Memory]:
    """Read a checkpoint and hold it against its checksum. Raises FileNotFoundError, DamagedError, UnfitError."""
    header = read_header(path)
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata()
            arrays: dict[str, NDArray[Any]] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if _checksum(metadata["header"].encode(), arrays) != metadata["checksum"]:
            raise DamagedError("its checksum is wrong")
        facts = msgspec.msgpack.decode(arrays.pop(FACTS).tobytes())
    except (OSError, safetensors.SafetensorError, msgspec.DecodeError, KeyError) as err:
        raise DamagedError(str(err)) from err
    return header, Memory(arrays, facts, header.weights, header.programmes)


def _serialise(header: Header, memory: Memory) -> bytes:
    arrays = memory.arrays | {FACTS: np.frombuffer(msgspec.msgpack.encode(memory.facts), np.uint8)}
    text = msgspec.json.encode(header)
    return save(arrays, {"header": text.decode(), "checksum": _checksum(text, arrays)})


def _checksum(header: bytes, arrays: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.blake2b(header, digest_size=16)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name]).reshape(-1)
        digest.update(f"{name} {array.dtype} {arrays[name].shape}".encode())
        digest.update(array.view(np.uint8).data)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

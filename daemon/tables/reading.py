"""Read the tables of a folder, whatever stands in them: what cannot be read is named, and all else goes on."""

from __future__ import annotations

import gzip
import re
import zlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars
from polars.exceptions import ComputeError, NoDataError, PanicException, PolarsError

from daemon.errors import LogError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Float = NDArray[np.float64]
    Bool = NDArray[np.bool_]
    Wanted = Callable[[Collection[str]], bool]  # of a file's columns

SUFFIXES = (".csv", ".csv.gz", ".parquet")
NOTHING = ["", "nan", "NaN"]  # what stands for an empty field
FLAGS = {"true": True, "false": False}
FILE, CELL = "file", "cell"
HEADING_LINES = 1
MOST_OF_NOMINAL = 2.0  # a capacity beyond is in another unit, or another cell's
MOST = 999_999  # cycles of a cell, and rows or operations of one
DIGITS = 4  # of a numbered column
RUN = 3  # so many numbers one after the other, or more, are told by their first and last


class Tables(NamedTuple):
    """What was read of a folder."""

    frames: Mapping[Path, polars.DataFrame]
    unread: tuple[str, ...]  # files and lines, each with its reason and what mends it


def files(folder: Path) -> list[Path]:
    """Find the files that may be tables."""
    return [p for p in sorted(folder.iterdir()) if p.is_file() and p.name.lower().endswith(SUFFIXES)]


def columns(path: Path) -> list[str]:
    """Give the columns that a file says it has. Raises LogError where it cannot be read."""
    return list(_read(path, 0)[0].columns)


def holds(folder: Path, wanted: Wanted) -> bool:
    """Tell whether any file of the folder has columns as wanted."""
    return any(wanted(names) for path in files(folder) if (names := _columns_or_none(path)))


def tables(folder: Path, wanted: Wanted) -> Tables:
    """Read every file whose columns are as wanted; a file that cannot be read is named."""
    frames: dict[Path, polars.DataFrame] = {}
    unread: list[str] = []
    for path in files(folder):
        try:
            if wanted(columns(path)):
                frames[path], lines = table(path)
                unread += lines
        except LogError as err:
            unread.append(told(err))
    return Tables(frames, tuple(unread))


def table(path: Path) -> tuple[polars.DataFrame, tuple[str, ...]]:
    """Read one file, and name lines of it that cannot be. Raises LogError where there is none that can."""
    frame, lines = _read(path, None)
    if frame.is_empty():
        raise LogError("no row below its heading", where=path.name, mend="write it anew, or take it away")
    return frame, lines


def told(err: LogError | UsageError) -> str:
    """Say an error in one line."""
    return f"{err.where}: {err.what}" + (f" ({err.mend})" if err.mend else "")


def refused(what: str, folder: Path, mend: str, reasons: Iterable[str]) -> UsageError:
    """Say that a folder holds nothing usable, and of what it does hold why not."""
    return UsageError(what, where=str(folder), mend="; ".join([*dict.fromkeys(reasons)] or [mend]))


def keyed(frame: polars.DataFrame, file: str, number: str) -> tuple[polars.DataFrame, tuple[str, ...]]:
    """Keep rows that name their cell (as text) and have a whole `number` from 0 on; name the others by their line.

    Rows where nothing stands at all, such as a last line that is blank, are no rows.
    """
    line = np.arange(len(frame)) + HEADING_LINES + 1
    stands = ~frame.select(polars.all_horizontal(polars.all().is_null())).to_series().to_numpy()
    name = frame[CELL].cast(polars.String)
    whole = frame[number].cast(polars.Float64, strict=False)
    nameless = (name.str.strip_chars().fill_null("") == "").to_numpy()
    good = (whole == whole.round()) & (whole >= 0) & (whole <= MOST)
    broken = ~good.fill_null(False).to_numpy() & ~nameless
    said = tuple(
        f"{file}, line {listed(line[rows & stands])}: {reason}"
        for rows, reason in ((nameless, f"no {CELL}"), (broken, f"{number} is no whole number from 0 to {MOST}"))
        if (rows & stands).any()
    )
    kept = frame.with_columns(name, whole.alias(number)).filter(polars.Series(~nameless & ~broken))
    return kept.with_columns(polars.col(number).cast(polars.Int64)), said


def once(frame: polars.DataFrame, file: str, number: str) -> tuple[polars.DataFrame, tuple[str, ...]]:
    """Keep the first row of each cell's `number`, and name those that tell the same one again."""
    again = ~frame.select(polars.struct(CELL, number).is_first_distinct()).to_series()
    reasons = named(in_file(frame, file), number, again.to_numpy(), "told more than once, the first row stands")
    return frame.filter(~again), reasons


def in_file(frame: polars.DataFrame, file: str) -> polars.DataFrame:
    """Say beside each row where it stands."""
    return frame.with_columns(polars.lit(file).alias(FILE))


def named(
    frame: polars.DataFrame, number: str, rows: Bool, reason: str | Sequence[str] | NDArray[np.str_]
) -> tuple[str, ...]:
    """Name some rows by file, cell and `number`, those of a cell together, with the reason or each with its own."""
    reasons = polars.Series("reason", np.broadcast_to(np.asarray(reason, dtype=np.str_), len(frame)).tolist())
    some = frame.select(FILE, CELL, number, reasons).filter(polars.Series(rows))
    parts = some.group_by(FILE, CELL, "reason", maintain_order=True).agg(number)
    return tuple(f"{file}, {cell}, {number} {listed(which)}: {why}" for file, cell, why, which in parts.iter_rows())


def column(frame: polars.DataFrame, name: str) -> Float:
    """Give a column's numbers [row]; NaN where there is none, or no such column."""
    if name not in frame.columns:
        return np.full(len(frame), np.nan)
    return frame[name].cast(polars.Float64, strict=False).fill_null(np.nan).to_numpy().copy()


def numbered(frame: polars.DataFrame, head: str, fewest: int) -> tuple[Float, str]:
    """Give columns `head`0, 1, .. [row, number], each in its place; and name those that are missing among them.

    There are at least `fewest`; where there is none at all, none is missing. `head`total and the like do not count.
    """
    names = re.compile(f"{re.escape(head)}([0-9]{{1,{DIGITS}}})")
    found = {int(match[1]): match[0] for name in frame.columns if (match := names.fullmatch(name))}
    values = np.full((len(frame), max([fewest, *(n + 1 for n in found)])), np.nan)
    for place, name in found.items():
        values[:, place] = column(frame, name)
    absent = sorted(set(range(values.shape[1])) - set(found)) if found else []
    width = min((len(name) - len(head) for name in found.values()), default=0)
    return values, re.sub(r"\d+", lambda number: head + number[0].zfill(width), listed(absent))


def labels(frame: polars.DataFrame, name: str, nominal_ah: float = np.inf) -> tuple[Float, Bool]:
    """Give a column of capacities [row], NaN where there is none; and where something stands that is none [row].

    A label is a number above zero, such as a cell of the nominal capacity may have. An empty field is no mistake.
    """
    value = column(frame, name)
    good: Bool = np.isfinite(value) & (value > 0) & (value <= MOST_OF_NOMINAL * nominal_ah)
    stands = np.zeros(len(frame), bool)
    if name in frame.columns:
        stands = frame[name].is_not_null().to_numpy().copy()
        if frame[name].dtype.is_float():
            stands &= ~np.isnan(value)
    return np.where(good, value, np.nan), stands & ~good


def no_label(name: str, nominal_ah: float = np.inf) -> str:
    """Say what a capacity is not that is no label."""
    most_ah = MOST_OF_NOMINAL * nominal_ah
    return f"{name} is no number above zero" + (f" and up to {most_ah:g} Ah" if np.isfinite(most_ah) else "")


def listed(numbers: Iterable[int]) -> str:
    """Write numbers shortly: 3, 5, 9-14."""
    values = np.asarray(list(numbers))
    runs = np.split(values, np.flatnonzero(np.diff(values) != 1) + 1)
    said = ([f"{run[0]}-{run[-1]}"] if len(run) >= RUN else map(str, run) for run in runs)
    return ", ".join(word for run in said for word in run)


def _columns_or_none(path: Path) -> list[str]:
    try:
        return columns(path)
    except LogError:
        return []


def _read(path: Path, rows: int | None) -> tuple[polars.DataFrame, tuple[str, ...]]:
    """Read so many rows, None: all. Raises LogError."""
    try:
        if path.suffix.lower() == ".parquet":
            return polars.read_parquet(path, n_rows=rows), ()
        try:
            return _csv(path, rows), ()
        except ComputeError:
            return _without_long_lines(path, rows)
    except NoDataError as err:
        raise LogError("the file is empty", where=path.name, mend="write it anew, or take it away") from err
    except (PolarsError, PanicException, OSError, EOFError, zlib.error) as err:
        reason = (str(err).strip().splitlines() or [""])[0]
        raise LogError(f"it cannot be read as a table: {reason}", where=path.name, mend="write it anew") from err


def _csv(source: Path | bytes, rows: int | None) -> polars.DataFrame:
    """Read all as text first, since one word among numbers shall cost its own row and no other."""
    frame = polars.read_csv(source, infer_schema=False, null_values=NOTHING, encoding="utf8-lossy", n_rows=rows)
    return frame.with_columns(_typed(frame[name]) for name in frame.columns if name != CELL)


def _typed(text: polars.Series) -> polars.Series:
    """Give numbers or flags where every word is one, else the text."""
    for kind in (polars.Int64, polars.Float64):
        number = text.cast(kind, strict=False)
        if number.null_count() == text.null_count():
            return number
    flag = text.str.to_lowercase().replace_strict(FLAGS, default=None, return_dtype=polars.Boolean)
    return flag if flag.null_count() == text.null_count() else text


def _without_long_lines(path: Path, rows: int | None) -> tuple[polars.DataFrame, tuple[str, ...]]:
    """Read what is left when lines with more fields than the first are blanked, so that the others keep their place."""
    data = path.read_bytes()
    lines = (gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data).split(b"\n")
    fields = lines[0].count(b",")
    long = [at for at, line in enumerate(lines) if line.count(b",") > fields]
    for at in long:
        lines[at] = b""
    where = listed(at + HEADING_LINES for at in long)
    return _csv(b"\n".join(lines), rows), (f"{path.name}, line {where}: more fields than the file has columns",)

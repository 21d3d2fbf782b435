"""A history that machines share: runs as Parquet files in a folder or at an fsspec URL, by machine and month.

``machine=DIGEST/month=YYYY-MM/RUN.parquet`` below the root; a file is written next to its place and moved there, and
never changed after. Two machines never write to the same file, so none waits for another.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import dataset, fs, parquet

from suite.digests import digest
from suite.history.stored import COLUMNS, history_frame
from suite.results.files import StoreError, file_name

__all__ = ["SharedHistory"]

#: What a file has of a run besides the columns of the history: where it was made, such as a label of a CI runner.
_RUNNER = "runner"


class SharedHistory:
    """A folder or URL that runs are pushed to and read from.

    Parameters
    ----------
    where : str
        A folder, or a URL that fsspec knows, like ``s3://bucket/history``.

    Raises
    ------
    StoreError
        It cannot be reached.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._filesystem, self._root = _reached(where)

    def push(self, frame: pd.DataFrame, runner: str = "") -> tuple[list[str], list[str]]:
        """Add those of our runs that are not there yet.

        Parameters
        ----------
        frame : DataFrame
            With the columns of `suite.history.stored.COLUMNS`.
        runner : str
            Where the runs were made, such as a label of a CI runner, which may be another machine every day.

        Returns
        -------
        pushed : list of str
            Names of the runs that were added.
        changes : list of str
            A sentence per run of a runner that was another machine before.

        Raises
        ------
        StoreError
            It cannot be written.
        """
        ours = frame[frame["source"] == "convmark"]
        known = self._files()
        pushed: list[str] = []
        changes: list[str] = []
        last = self._last_machine(runner) if runner else ""
        for name, rows in ours.groupby("run", sort=False):
            if f"{file_name(str(name))}.parquet" in known:
                continue
            machine = str(rows["machine"].iloc[0])
            if last and last != machine:
                changes.append(f"run {name} of {runner} met {machine}; the last one there met {last}")
            last = machine if runner else ""
            self._write(str(name), rows.assign(**{_RUNNER: pd.array([runner] * len(rows), dtype="string")}))
            pushed.append(str(name))
        return pushed, changes

    def read(self) -> pd.DataFrame:
        """Every row, oldest first, with the columns of `suite.history.stored.COLUMNS`.

        Raises
        ------
        StoreError
            Nothing is there, or it cannot be read.
        """
        found = self._read([*COLUMNS])
        if not len(found):
            raise StoreError(
                f"no run is stored at {self._where}, expected some; add them with: convmark history --push"
            )
        return history_frame(found)

    def _read(self, columns: list[str], where: Any = None) -> pd.DataFrame:
        try:
            if not self._files():
                return pd.DataFrame(columns=columns)
            whole = dataset.dataset(self._root, filesystem=self._filesystem, format="parquet", schema=_schema())
            table = whole.to_table(columns=columns, filter=where)
        except (OSError, pa.ArrowException) as error:
            raise StoreError(
                f"cannot read {self._where}: {error}, expected files of convmark history --push"
            ) from error
        frame: pd.DataFrame = table.to_pandas()
        return frame

    def _last_machine(self, runner: str) -> str:
        found = self._read(["machine", "started"], dataset.field(_RUNNER) == runner)
        return "" if found.empty else str(found.sort_values("started", kind="stable")["machine"].iloc[-1])

    def _files(self) -> set[str]:
        selector = fs.FileSelector(self._root, recursive=True, allow_not_found=True)
        try:
            return {each.base_name for each in self._filesystem.get_file_info(selector) if each.is_file}
        except OSError as error:
            raise StoreError(f"cannot read {self._where}: {error}, expected a folder of runs") from error

    def _write(self, name: str, rows: pd.DataFrame) -> None:
        month = rows["started"].iloc[0].strftime("%Y-%m")
        folder = f"{self._root}/machine={digest([str(rows['machine'].iloc[0])], 12)}/month={month}"
        part, path = (f"{folder}/{each}{file_name(name)}.parquet" for each in ("_part-", ""))
        try:
            self._filesystem.create_dir(folder, recursive=True)
            table = pa.Table.from_pandas(rows, schema=_schema(), preserve_index=False)
            # pyarrow passes over names with an underscore: none is read before it is whole.
            parquet.write_table(table, part, filesystem=self._filesystem, compression="zstd")
            self._filesystem.move(part, path)
        except OSError as error:
            raise StoreError(f"cannot write to {self._where}: {error}, expected one that can be written to") from error


def _schema() -> Any:
    """Of the files: an integer column that one run has no values of is not of another kind there."""
    kinds = {"datetime64[us, UTC]": pa.timestamp("us", "UTC"), "string": pa.string(), "bool": pa.bool_(),
             "Int64": pa.int64(), "Float64": pa.float64()}  # fmt: skip
    return pa.schema([*((name, kinds[kind]) for name, kind in COLUMNS.items()), (_RUNNER, pa.string())])


def _reached(where: str) -> tuple[Any, str]:
    if "://" not in where:
        return fs.LocalFileSystem(), os.path.abspath(Path(where).expanduser())
    try:
        import fsspec
    except ImportError as error:
        raise StoreError(f"{where} needs fsspec, expected it installed: pip install 'convmark[fleet]'") from error
    try:
        system, root = fsspec.core.url_to_fs(where)
    except (ImportError, ValueError, OSError) as error:
        raise StoreError(f"cannot reach {where}: {error}, expected a folder or a URL that fsspec knows") from error
    return fs.PyFileSystem(fs.FSSpecHandler(system)), root.rstrip("/")

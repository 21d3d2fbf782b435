"""The cache of compiled pieces: warm in a second process, never stale, never wrong, never in the way."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numba
import numpy as np
import pytest

import kernels
from kernels.machine import compile as compiling

#: Two families; a convolution and a pool are two microkernels and two macrokernels, and what enters them.
_RUN = """
import os, random, sys, time
import numpy as np, kernels
from kernels.blocks.max_pool import MaxPool
from kernels.machine import compile as compiling
from kernels.machine.compile import CompileCounter
if float(os.environ.get("DELAY", 0)):
    # A folder that delays every write, and what gives it its name.
    class Slow:
        def __getattr__(self, name):
            if name in ("fdopen", "fsync", "replace"):
                time.sleep(random.uniform(0, float(os.environ["DELAY"])))
            return getattr(os, name)
    compiling.os = Slow()
results = []
for text in sys.argv[1:] or ["ic2ih5oc3kh3"]:
    p = kernels.Conv2dProblem.parse(text)
    w, x = np.ones(p.weight_shape, p.dtype), np.ones(p.input_shape, p.dtype)
    results.append(kernels.plan(p, w, algorithm="direct_naive", threads=1)(x).flat[0])
before = CompileCounter.pieces
pool = MaxPool((1, 4, 4), 2, 2, 0, "float32", 1)
src, dst = np.arange(16, dtype="f4").reshape(1, 1, 4, 4), np.empty((1, 1, 2, 2), "f4")
pool(src, dst)
assert dst.ravel().tolist() == [5, 7, 13, 15], dst
print(*results, "naive", before, "pool", CompileCounter.pieces - before)
"""


def _start(folder: Path, cache: Path, *problems: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _RUN, *problems], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "CONVMARK_CACHE_DIR": str(cache), "PYTHONPATH": str(folder), **environment},
    )  # fmt: skip


def _finished(process: subprocess.Popen[str]) -> tuple[str, str]:
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-2000:]
    return out.strip(), errors


def _counts(folder: Path, cache: Path, **environment: str) -> tuple[int, int]:
    """How many pieces of the seven loops and of the pool a process compiled."""
    words = _finished(_start(folder, cache, **environment))[0].split()
    assert words[0] == "18.0"
    return int(words[2]), int(words[4])


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(Path(kernels.__file__).parent, folder / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def warm(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of a process that found it empty."""
    cache = tmp_path_factory.mktemp("cache")
    naive, pool = _counts(copy, cache)
    # The entry of one thread is compiled by the first that needs it.
    assert naive == 3 and pool == 2
    assert len(list((cache / "pieces").iterdir())) == 5
    return cache


def _edited(file: Path, old: str, new: str) -> str:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return text


def test_a_second_process_compiles_nothing(copy: Path, warm: Path) -> None:
    assert _counts(copy, warm) == (0, 0)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("layers.py", (0, 0)),
        ("algorithms/naive.py", (2, 0)),
        ("blocks/max_pool/microkernel.py", (0, 2)),
        ("machine/ir.py", (0, 2)),
        ("machine/static.py", (3, 2)),
    ],
)
def test_an_edit_compiles_anew_what_stands_on_it(copy: Path, warm: Path, file: str, expected: tuple[int, int]) -> None:
    path = copy / "kernels" / file
    text = _edited(path, '"""', '"""Edited. ')
    try:
        assert _counts(copy, warm) == expected
    finally:
        path.write_text(text)


def test_an_edit_of_a_number_changes_the_result(copy: Path, warm: Path) -> None:
    path = copy / "kernels" / "algorithms" / "naive.py"
    text = _edited(path, "w = wei[", "w = 2 * wei[")
    try:
        assert _finished(_start(copy, warm))[0].startswith("36.0 naive 2 ")
    finally:
        path.write_text(text)


def test_empty_cut_and_foreign_files_are_replaced(copy: Path, warm: Path, tmp_path: Path) -> None:
    cache = shutil.copytree(warm, tmp_path / "cache")
    files = sorted((cache / "pieces").iterdir())
    whole = [each.read_bytes() for each in files]
    for i, (file, content) in enumerate(zip(files, whole, strict=True)):
        # The last is whole, but of another piece.
        file.write_bytes((b"", content[:-100], b"no code at all" * 50, whole[i - 1])[i % 4])
    assert _counts(copy, cache) == (3, 2)
    assert _counts(copy, cache) == (0, 0)


def test_a_folder_that_cannot_be_written_is_one_warning(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file where the folder should be")
    out, errors = _finished(_start(copy, tmp_path / "file"))
    assert out == "18.0 naive 3 pool 2" and errors.count("RuntimeWarning: compiled code is not kept") == 1


#: Modes of files say nothing to root, unless it does without that right, as in a container with a read-only root.
_BOUND = ("setpriv", "--bounding-set", "-dac_override")


def test_code_that_can_be_read_but_not_written_is_run(copy: Path, warm: Path, tmp_path: Path) -> None:
    cache = shutil.copytree(warm, tmp_path / "cache")
    pieces = cache / "pieces"
    # Others may read what was kept as well.
    assert {each.stat().st_mode & 0o044 for each in pieces.iterdir()} == {0o044}
    for each in (*pieces.iterdir(), pieces):
        each.chmod(each.stat().st_mode & ~0o222)
    command = [sys.executable, "-W", "error", "-c", _RUN]
    if os.geteuid() == 0:
        if (
            not shutil.which("setpriv")
            or subprocess.run([*_BOUND, "true"], capture_output=True, check=False).returncode
        ):
            pytest.skip("root may write everywhere, and setpriv cannot take that right from it")
        command = [*_BOUND, *command]
    looked = "import os; print(os.access(os.environ['CONVMARK_CACHE_DIR'] + '/pieces', os.W_OK))"
    variables = {**os.environ, "CONVMARK_CACHE_DIR": str(cache), "PYTHONPATH": str(copy)}
    found = [
        subprocess.run(
            [*command[:-1], code], env=variables, cwd=copy, capture_output=True, text=True, check=True
        ).stdout
        for code in (looked, _RUN)
    ]
    pieces.chmod(0o755)
    assert found == ["False\n", "18.0 naive 0 pool 0\n"]


@pytest.mark.parametrize("delay", [0.0, 0.05], ids=["at-once", "delayed"])
def test_processes_fill_one_folder_at_once(copy: Path, tmp_path: Path, delay: float) -> None:
    problems = ("ic2ih5oc3kh3", "ic3ih5oc3kh3sh2", "ic2ih5oc3kh3f64", "ic5ih9iw7oc3kh1sw2f64")
    delayed = {"DELAY": str(delay)}
    processes = [_start(copy, tmp_path, *problems[i:], *problems[:i], **delayed) for i in range(4)]
    sums = {problem: str(float(total)) for problem, total in zip(problems, (18, 27, 18, 5), strict=True)}
    for i, process in enumerate(processes):
        expected = [sums[each] for each in (*problems[i:], *problems[:i])]
        assert _finished(process)[0].split()[:4] == expected
    assert not list((tmp_path / "pieces").glob("*.part"))
    assert _counts(copy, tmp_path) == (0, 0)


@pytest.mark.parametrize("setting", [{"NUMBA_OPT": "0"}, {"NUMBA_DEBUGINFO": "1"}, {"NUMBA_BOUNDSCHECK": "1"}], ids=str)
def test_settings_that_change_code_have_pieces_of_their_own(copy: Path, warm: Path, setting: dict[str, str]) -> None:
    code = "from kernels.machine.compile import _environment; print(_environment())"
    texts = set()
    for more in ({}, setting):
        command, environment = [sys.executable, "-c", code], {**os.environ, **more}
        texts.add(subprocess.run(command, env=environment, cwd=copy, capture_output=True, check=True).stdout)
    assert len(texts) == 2
    if "NUMBA_OPT" in setting:
        assert _counts(copy, warm, **setting) == (3, 2)


def test_without_a_compiler_there_is_one_sentence(copy: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import kernels"], cwd=copy, env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr.splitlines()[-1].startswith("ImportError: NUMBA_DISABLE_JIT is set, expected it unset")


def test_the_folder_is_the_variables_or_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = compiling.cache_folder.__wrapped__
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("CONVMARK_CACHE_DIR", "~/here")
    assert folder() == tmp_path / "here" / "pieces"
    monkeypatch.setenv("CONVMARK_CACHE_DIR", "")
    assert tmp_path in folder().parents
    # A user that the system does not know.
    monkeypatch.setenv("CONVMARK_CACHE_DIR", "~nobody-of-that-name/here")
    assert not any(each.name.startswith("~") for each in (folder(), *folder().parents))


def test_pieces_go_by_age_and_then_by_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compiling, "cache_folder", lambda: tmp_path)
    now = time.time()
    for name, days in (("old", 91), ("middle", 50), ("new", 0), ("left.part", 1), ("writing.part", 0)):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (now - days * 86400,) * 2)
    assert compiling.prune_cache() == (200, 300)
    assert {each.name for each in tmp_path.iterdir()} == {"middle", "new", "writing.part"}
    assert compiling.prune_cache(most_bytes=250) == (100, 200)
    assert {each.name for each in tmp_path.iterdir()} == {"new", "writing.part"}
    assert compiling.prune_cache(most_days=0, most_bytes=0)[1] == 0


def test_a_full_disk_costs_the_caching_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiling, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(compiling.os, "fsync", full)
    compiling._warn_once.cache_clear()
    with pytest.warns(RuntimeWarning, match=r"compiled code is not kept: .* \(No space left on device\)"):
        compiling.store_piece("a", b"code")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiling.store_piece("b", b"code")
    assert list(tmp_path.iterdir()) == []


def test_import_leaves_numbas_settings_alone() -> None:
    code = """
import numba.core.config as c
before = {k: repr(v) for k, v in vars(c).items() if k.isupper()}
import kernels
assert before == {k: repr(v) for k, v in vars(c).items() if k.isupper()}
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(kernels.__file__).parent.parent)


def test_a_run_puts_the_thread_mask_back() -> None:
    p = kernels.Conv2dProblem.parse("ic2ih5oc3kh3")
    before = numba.get_num_threads()
    kernels.plan(p, np.ones(p.weight_shape, "f4"), threads=1)(np.ones(p.input_shape, "f4"))
    assert numba.get_num_threads() == before


def test_without_sources_each_version_runs_its_own_code(copy: Path, tmp_path: Path) -> None:
    for factor, expected in ((1, "18.0"), (2, "36.0")):
        folder = tmp_path / str(factor)
        shutil.copytree(copy / "kernels", folder / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
        _edited(folder / "kernels" / "algorithms" / "naive.py", "w = wei[", f"w = {factor} * wei[")
        assert compileall.compile_dir(folder, quiet=2, legacy=True)
        for source in folder.rglob("*.py"):
            source.unlink()
        assert _finished(_start(folder, tmp_path / "cache"))[0].startswith(f"{expected} naive 3 ")


def test_out_of_an_archive_it_is_the_same(copy: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "kernels"), "zip", copy, "kernels")
    (tmp_path / "empty").mkdir()
    run = _start(tmp_path / "empty", tmp_path / "cache", PYTHONPATH=archive)
    assert _finished(run)[0] == "18.0 naive 3 pool 2"

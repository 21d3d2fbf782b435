"""The examples, run as a user runs them; what they write is read back."""

from __future__ import annotations

import importlib.util
import io
import os
import pickle
import re
import struct
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kernels import Conv2d, Conv2dProblem, conv2d_reference

_ROOT = Path(__file__).parent.parent
#: Kernels stay where those of the other tests are.
_COMPILED = os.environ.get("CONVMARK_CACHE_DIR") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "convmark"
)

for _needed in ("PIL", "pooch", "safetensors", "sklearn", "tensorboardX"):
    pytest.importorskip(_needed)


def _run(name: str, *arguments: object, home: Path) -> subprocess.CompletedProcess[str]:
    # A home of its own: nothing that the user once downloaded is found.
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "XDG_CACHE_HOME": str(home)}
    environment["CONVMARK_CACHE_DIR"] = _COMPILED
    command = [sys.executable, str(_ROOT / "examples" / name), *map(str, arguments)]
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)


# -- cifar10.py ----------------------------------------------------------------


def _text(value: str) -> bytes:
    return b"U" + bytes([len(value)]) + value.encode()


def _batch(pictures: np.ndarray) -> bytes:
    """A batch as Python 2 pickled CIFAR-10's: its strings are bytes, its array is `numpy.core`'s."""
    names = b"](" + b"".join(_text(f"picture_{i}.png") for i in range(len(pictures))) + b"e"
    labels = b"](" + b"".join(b"K" + bytes([i % 10]) for i in range(len(pictures))) + b"e"
    dtype = b"cnumpy\ndtype\n" + _text("u1") + b"K\x00K\x01\x87R(K\x03" + _text("|") + b"NNNJ\xff\xff\xff\xff"
    dtype += b"J\xff\xff\xff\xffK\x00tb"
    shape = b"M" + struct.pack("<H", len(pictures)) + b"M" + struct.pack("<H", 3072) + b"\x86"
    bare = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + _text("b") + b"\x87R"
    array = bare + b"(K\x01" + shape + dtype + b"\x89T" + struct.pack("<i", pictures.size) + pictures.tobytes() + b"tb"
    parts = {"batch_label": _text("training batch"), "labels": labels, "data": array, "filenames": names}
    return b"\x80\x02}(" + b"".join(_text(name) + part for name, part in parts.items()) + b"u."


def _archive(path: Path, batches: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in batches.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def pictures() -> np.ndarray:
    """Two batches of 16."""
    return np.random.default_rng(0).integers(0, 256, (2, 16, 3, 32, 32), np.uint8)


@pytest.fixture
def archive(tmp_path: Path, pictures: np.ndarray) -> Path:
    # In an order of their own, as in the real one.
    batches = {"data_batch_2": _batch(pictures[1]), "batches.meta": b"", "data_batch_1": _batch(pictures[0])}
    return _archive(tmp_path / "cifar-10-python.tar.gz", batches)


def _images(folder: Path) -> Iterator[tuple[str, int, np.ndarray]]:
    """Tag, step and pixels of what the folder's only event file holds."""
    from PIL import Image
    from tensorboardX.proto.event_pb2 import Event

    (file,) = folder.glob("events.out.tfevents.*")
    content = file.read_bytes()
    while content:
        # A record: its length, that one's checksum, an event, and that one's checksum.
        length = struct.unpack("<Q", content[:8])[0]
        event = Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]
        for value in event.summary.value:
            yield value.tag, event.step, np.asarray(Image.open(io.BytesIO(value.image.encoded_image_string)))


def _tile(sheet: np.ndarray, row: int, column: int, size: int) -> np.ndarray:
    step = size + 2
    return sheet[row * step + 1 : row * step + 1 + size, column * step + 1 : column * step + 1 + size]


def test_cifar10_writes_what_a_convolution_makes_of_the_archive(
    tmp_path: Path, archive: Path, pictures: np.ndarray
) -> None:
    from PIL import Image

    output = tmp_path / "out"
    asked = "--data", archive, "--batches", 2, "--batch-size", 12, "--output", output, "--seed", 5
    done = _run("cifar10.py", *asked, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "24 pictures of CIFAR-10" in done.stdout and str(output / "contact.png") in done.stdout

    layer = Conv2d(3, 6, 3, rng=5)
    assert layer.bias is not None
    whole = pictures.reshape(-1, 3, 32, 32)
    found = {(tag, step): image for tag, step, image in _images(output)}
    assert sorted(found) == [("input", 0), ("input", 1), ("output", 0), ("output", 1)]
    sheet = np.asarray(Image.open(output / "contact.png"))[::2, ::2]
    for step in (0, 1):
        batch = whole[12 * step : 12 * step + 12]
        problem = Conv2dProblem(mb=12, ic=3, ih=32, iw=32, oc=6, kh=3, kw=3, bias=True)
        maps = conv2d_reference(problem, batch.astype(np.float32) / 255, layer.weight, layer.bias)
        maps -= maps.min((0, 2, 3), keepdims=True)
        maps *= 255 / maps.max((0, 2, 3), keepdims=True)
        for i in range(12):
            np.testing.assert_array_equal(
                _tile(found["input", step], i // 8, i % 8, 32), batch[i].transpose(1, 2, 0)
            )  # fmt: skip
            for channel in range(6):
                shown = _tile(found["output", step], i // 2, i % 2 * 6 + channel, 30)
                np.testing.assert_allclose(shown, np.repeat(maps[i, channel, :, :, None], 3, 2), atol=0.51)
        # The sheet: a picture and its maps a row, four rows a batch.
        np.testing.assert_array_equal(_tile(sheet, 4 * step + 3, 0, 32), batch[3].transpose(1, 2, 0))
        small = _tile(sheet, 4 * step + 3, 6, 32)[1:-1, 1:-1, 0].astype(float)
        assert np.corrcoef(small.ravel(), maps[3, 5].ravel())[0, 1] > 0.999


def test_cifar10_without_data_is_photographs(tmp_path: Path) -> None:
    done = _run("cifar10.py", "--batches", 1, "--batch-size", 12, "--output", "out", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "12 pictures cut from scikit-learn's two photographs" in done.stdout
    image = next(image for tag, _, image in _images(tmp_path / "out") if tag == "input")
    # Neighbours in a photograph are alike, as they are in no noise.
    tile = _tile(image, 0, 0, 32).astype(float)
    assert np.abs(np.diff(tile, axis=0)).mean() < 0.25 * np.abs(tile - tile.mean()).mean() + 8


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("made",)


@pytest.mark.parametrize(
    ("batches", "said"),
    [
        ({"data_batch_1": pickle.dumps({"data": _Evil()}, 2)}, "mkdir, which none of CIFAR-10 does"),
        ({"data_batch_1": b"\x80\x02}."}, "b'data'"),
        ({}, "cannot be read"),
        (None, "No such file"),
    ],
    ids=("evil", "empty dict", "no batch", "no file"),
)
def test_cifar10_refuses_what_is_none_in_a_sentence(
    tmp_path: Path, batches: dict[str, bytes] | None, said: str
) -> None:
    cifar10 = _module("cifar10")
    path = tmp_path / "other.tar.gz"
    if batches is not None:
        _archive(path, batches)
    with pytest.raises(SystemExit, match=r"expected cifar-10-python\.tar\.gz or its folder") as refused:
        cifar10.read_cifar10(path, 5)
    assert said in str(refused.value)
    assert not (tmp_path / "made").exists() and not Path("made").exists()


def test_cifar10_reads_the_extracted_folder(tmp_path: Path, archive: Path, pictures: np.ndarray) -> None:
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path / "extracted", filter="data")
    read = _module("cifar10").read_cifar10
    for folder in (tmp_path / "extracted", tmp_path / "extracted" / "cifar-10-batches-py"):
        np.testing.assert_array_equal(read(folder, 20), pictures.reshape(-1, 3, 32, 32)[:20])


def test_cifar10_takes_a_kept_archive_only_if_its_hash_is_the_known_one(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cifar10 = _module("cifar10")
    monkeypatch.setattr(cifar10.pooch, "os_cache", lambda project: tmp_path)
    assert "photographs" in cifar10.find_pictures(None, False, 2, 0)[1]
    monkeypatch.setattr(cifar10, "MD5", cifar10.pooch.file_hash(str(archive), alg="md5"))
    assert cifar10.find_pictures(None, False, 2, 0)[1] == f"of CIFAR-10, from {archive}"
    # And one that is there is not downloaded again.
    assert cifar10.find_pictures(None, True, 2, 0)[1] == f"of CIFAR-10, from {archive}"


def _module(name: str):  # type: ignore[no-untyped-def]
    """An example as a module, to ask its functions."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", _ROOT / "examples" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# -- resnet18.py ---------------------------------------------------------------


def test_resnet18_is_pytorchs(tmp_path: Path) -> None:
    compared = importlib.util.find_spec("torch") is not None
    # One algorithm that compiles once for all layers: "auto" takes half a minute to compile a network's.
    asked = ["--algorithm", "direct_naive", "--size", 64, "--threads", 1, "--repeats", 1, "--output", "out"]
    done = _run("resnet18.py", *asked, *(["--compare"] if compared else []), home=tmp_path)
    assert done.returncode == 0, done.stderr
    top = re.search(r"^top 5:((?: \d+ \(-?\d+\.\d{3}\)){5})$", done.stdout, re.M)
    assert top is not None, done.stdout
    scores = [float(score) for score in re.findall(r"\((.*?)\)", top.group(1))]
    assert scores == sorted(scores, reverse=True)
    assert re.search(r"^convmark: \d+\.\d\d ms an image", done.stdout, re.M)
    if compared:
        found = re.search(r"difference from PyTorch: (\S+), where the largest logit is (\S+)$", done.stdout, re.M)
        assert found is not None, done.stdout
        difference, largest = map(float, found.groups())
        assert largest > 1 and difference < 1e-4 * largest


# -- train_digits.py -----------------------------------------------------------


def test_digits_are_learnt(tmp_path: Path) -> None:
    done = _run("train_digits.py", "--epochs", 2, "--output", tmp_path / "digits.png", home=tmp_path)
    assert done.returncode == 0, done.stderr
    first, last = map(float, re.search(r"loss (\S+) to (\S+) in 60 steps", done.stdout).groups())
    assert 2.0 < first < 3.0 and last < 0.6 * first
    from PIL import Image

    with Image.open(tmp_path / "digits.png") as picture:
        assert picture.size[0] > 400 and picture.getextrema() == (0, 255)


def test_digits_are_learnt_as_by_torch(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    done = _run("train_digits.py", "--epochs", 2, "--compare", "--output", tmp_path / "digits.png", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert float(re.search(r"PyTorch's losses: (\S+)", done.stdout).group(1)) < 1e-10

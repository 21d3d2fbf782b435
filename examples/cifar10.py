"""CIFAR-10 through a convolution of 3 to 6 channels; what goes in and what comes out, to look at.

    pip install 'convmark[examples]'
    python examples/cifar10.py                                 # photographs cut to 32x32; no network needed
    python examples/cifar10.py --download                      # CIFAR-10 itself, 170 MB, kept for the next time
    python examples/cifar10.py --data cifar-10-python.tar.gz   # or the folder that was extracted from it

Batches of pictures pass through ``kernels.Conv2d(3, 6, 3)``. Both sides are written as image grids to
a TensorBoard event file, a step a batch, and a sheet of the first pictures beside their six maps to
``contact.png``.
"""

from __future__ import annotations

import argparse
import io
import pickle
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pooch
from PIL import Image
from sklearn.datasets import load_sample_images
from tensorboardX import SummaryWriter

from kernels import Conv2d

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
MD5 = "c58f30108f718f92721af3b95e74349a"

#: Side of a picture, in pixels.
SIDE = 32
#: Pictures of a batch that the contact sheet shows.
SHOWN = 4


# -- pictures: uint8 arrays of shape (count, 3, 32, 32) ----------------------


def find_pictures(data: Path | None, download: bool, wanted: int, seed: int) -> tuple[np.ndarray, str]:
    """Up to ``wanted`` pictures, and a phrase that says which."""
    if data is not None:
        return read_cifar10(data, wanted), f"of CIFAR-10, from {data}"
    kept = Path(pooch.os_cache("convmark")) / "cifar-10-python.tar.gz"
    if download:
        pooch.retrieve(URL, f"md5:{MD5}", fname=kept.name, path=kept.parent)
    if kept.exists() and pooch.file_hash(str(kept), alg="md5") == MD5:
        return read_cifar10(kept, wanted), f"of CIFAR-10, from {kept}"
    return cut_photographs(wanted, seed), "cut from scikit-learn's two photographs (--download gets CIFAR-10)"


def cut_photographs(wanted: int, seed: int) -> np.ndarray:
    """Tiles of the photographs that scikit-learn brings along, in an order drawn by ``seed``."""
    tiles = []
    for photograph in load_sample_images().images:
        rows, columns = photograph.shape[0] // SIDE, photograph.shape[1] // SIDE
        whole = photograph[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE, 3)
        tiles.append(whole.transpose(0, 2, 4, 1, 3).reshape(-1, 3, SIDE, SIDE))
    return np.random.default_rng(seed).permutation(np.concatenate(tiles))[:wanted]


def read_cifar10(path: Path, wanted: int) -> np.ndarray:
    """The first training pictures of the archive for Python, or of the folder extracted from it."""
    parts: list[np.ndarray] = []
    try:
        for content in batch_files(path):
            parts.append(CifarUnpickler(io.BytesIO(content), encoding="bytes").load()[b"data"])
            if sum(map(len, parts)) >= wanted:
                break
        return np.concatenate(parts)[:wanted].reshape(-1, 3, SIDE, SIDE)
    except (OSError, EOFError, tarfile.TarError, pickle.UnpicklingError, KeyError, TypeError, ValueError) as error:
        raise SystemExit(f"{path} cannot be read, expected cifar-10-python.tar.gz or its folder: {error}") from error


def batch_files(path: Path) -> Iterator[bytes]:
    """Contents of ``data_batch_1`` to ``data_batch_5``, those that are there."""
    if path.is_dir():
        for file in sorted(path.rglob("data_batch_*")):
            yield file.read_bytes()
        return
    with tarfile.open(path) as archive:
        members = [each for each in archive if Path(each.name).name.startswith("data_batch_")]
        for member in sorted(members, key=lambda each: each.name):
            content = archive.extractfile(member)
            if content is not None:
                yield content.read()


class CifarUnpickler(pickle.Unpickler):
    """Loads dicts, lists, bytes and NumPy's arrays, which a batch is made of.

    A pickle may name any function, and loading it calls that: here no others can be named.
    """

    allowed = frozenset({("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")})

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(f"a batch names {module}.{name}, which none of CIFAR-10 does")
        return super().find_class(module, name)


# -- images to look at: uint8 arrays of shape (height, width, 3) --------------


def grid(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Tiles of shape (count, 3, h, w) side by side, a black line around each."""
    count, channels, height, width = tiles.shape
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, channels, height + 2, width + 2), np.uint8)
    sheet[:count, :, 1:-1, 1:-1] = tiles
    sheet = sheet.reshape(rows, columns, channels, height + 2, width + 2).transpose(0, 3, 1, 4, 2)
    return sheet.reshape(rows * (height + 2), columns * (width + 2), channels)


def as_gray(maps: np.ndarray) -> np.ndarray:
    """Maps of shape (n, channels, h, w) as n * channels gray tiles; each channel's least is black, its most white."""
    low, high = maps.min((0, 2, 3), keepdims=True), maps.max((0, 2, 3), keepdims=True)
    shades = np.round(255 * (maps - low) / np.maximum(high - low, 1e-12)).astype(np.uint8)
    return np.repeat(shades.reshape(-1, 1, *maps.shape[2:]), 3, axis=1)


def beside_their_maps(pictures: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Tiles of the contact sheet: a picture, its maps, the next picture, and so on."""
    margin = (SIDE - maps.shape[-1]) // 2
    gray = np.pad(as_gray(maps), [(0, 0), (0, 0), (margin, margin), (margin, margin)])
    gray = gray.reshape(len(pictures), -1, 3, SIDE, SIDE)
    return np.concatenate([pictures[:, None], gray], axis=1).reshape(-1, 3, SIDE, SIDE)


# -- the run ------------------------------------------------------------------


def run(pictures: np.ndarray, layer: Conv2d, batch_size: int, output: Path) -> None:
    """Convolve batch after batch, and write what there is to see."""
    shown = []
    with SummaryWriter(str(output)) as writer:
        for step, start in enumerate(range(0, len(pictures), batch_size)):
            batch = pictures[start : start + batch_size]
            begun = time.perf_counter()
            maps = layer(batch.astype(np.float32) / 255)
            taken = time.perf_counter() - begun
            note = "" if step else ", compiling or loading what was compiled included"
            print(f"batch {step}: {batch.shape} -> {maps.shape} in {1e3 * taken:.2f} ms{note}")
            writer.add_image("input", grid(batch, columns=8), step, dataformats="HWC")
            writer.add_image("output", grid(as_gray(maps), columns=2 * layer.out_channels), step, dataformats="HWC")
            shown.append(beside_their_maps(batch[:SHOWN], maps[:SHOWN]))
    sheet = grid(np.concatenate(shown), columns=1 + layer.out_channels)
    Image.fromarray(sheet).resize((2 * sheet.shape[1], 2 * sheet.shape[0]), Image.Resampling.NEAREST).save(
        output / "contact.png"
    )
    print(f"wrote {output / 'contact.png'}, and image grids for `tensorboard --logdir {output}`")


def count(text: str) -> int:
    """A number of things on the command line, 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"is {text!r}, expected a whole number, 1 or more")
    return int(text)


def main() -> None:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="cifar-10-python.tar.gz, or the folder extracted from it")
    parser.add_argument("--download", action="store_true", help=f"get it from {URL} and keep it")
    parser.add_argument("--batches", type=count, default=4, help="how many batches [%(default)s]")
    parser.add_argument("--batch-size", type=count, default=64, help="pictures a batch [%(default)s]")
    parser.add_argument("--output", type=Path, default=Path("runs/cifar10"), help="folder to write to [%(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="draws the weights [%(default)s]")
    asked = parser.parse_args()

    pictures, which = find_pictures(asked.data, asked.download, asked.batches * asked.batch_size, asked.seed)
    layer = Conv2d(3, 6, 3, rng=asked.seed)
    print(f"{len(pictures)} pictures {which}\nthrough {layer}")
    asked.output.mkdir(parents=True, exist_ok=True)
    run(pictures, layer, asked.batch_size, asked.output)


if __name__ == "__main__":
    main()

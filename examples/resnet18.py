"""ResNet-18 on NumPy arrays: weights by torchvision's names from a safetensors file, a picture in, logits out.

    pip install 'convmark[examples]'
    python examples/resnet18.py                                # weights drawn, saved and loaded back
    python examples/resnet18.py --weights resnet18.safetensors --image cat.jpg
    python examples/resnet18.py --compare                      # beside the same network in PyTorch

The stem is ``kernels.ResNetStem``. Each convolution behind it is one plan: its batch norm is folded
into weights and bias, and where a block ends the residual is added and clipped while the sums are in
registers. torchvision's weights become a
safetensors file by ``safetensors.torch.save_file(torchvision.models.resnet18(weights=...).state_dict(),
"resnet18.safetensors")``. The network is of He et al. 2015, arXiv:1512.03385.
"""

from __future__ import annotations

import argparse
import time
import timeit
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from sklearn.datasets import load_sample_image

from kernels import Conv2d, Conv2dProblem, Epilogue, Plan, ResNetStem, plan

#: Stage, channels, stride of its first block. Each stage has two blocks of two 3x3 convolutions.
STAGES = ((1, 64, 1), (2, 128, 2), (3, 256, 2), (4, 512, 2))
CLASSES = 1000
#: What batch norm adds to a variance.
EPSILON = 1e-5
#: Means and deviations of ImageNet's red, green and blue, which the weights were trained with.
MEAN = np.array((0.485, 0.456, 0.406), np.float32)
DEVIATION = np.array((0.229, 0.224, 0.225), np.float32)


class Convolution(NamedTuple):
    """One of the network's 20 convolutions, without bias, and the batch norm behind it."""

    name: str
    norm: str
    in_channels: int
    out_channels: int
    kernel: int
    stride: int


def convolutions() -> Iterator[Convolution]:
    """All of the network, by torchvision's names."""
    yield Convolution("conv1", "bn1", 3, 64, 7, 2)
    before = 64
    for stage, channels, stride in STAGES:
        first, second = f"layer{stage}.0", f"layer{stage}.1"
        yield Convolution(f"{first}.conv1", f"{first}.bn1", before, channels, 3, stride)
        yield Convolution(f"{first}.conv2", f"{first}.bn2", channels, channels, 3, 1)
        if before != channels:
            yield Convolution(f"{first}.downsample.0", f"{first}.downsample.1", before, channels, 1, stride)
        yield Convolution(f"{second}.conv1", f"{second}.bn1", channels, channels, 3, 1)
        yield Convolution(f"{second}.conv2", f"{second}.bn2", channels, channels, 3, 1)
        before = channels


# -- weights -------------------------------------------------------------------


def tensor_shapes() -> dict[str, tuple[int, ...]]:
    """What a file of weights must hold; others, such as counters of batches, are left alone."""
    shapes: dict[str, tuple[int, ...]] = {}
    for each in convolutions():
        shapes[f"{each.name}.weight"] = each.out_channels, each.in_channels, each.kernel, each.kernel
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{each.norm}.{part}"] = (each.out_channels,)
    return shapes | {"fc.weight": (CLASSES, 512), "fc.bias": (CLASSES,)}


def draw_weights(seed: int) -> dict[str, np.ndarray]:
    """Weights as before training, and batch norms that have seen something."""
    rng = np.random.default_rng(seed)

    def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) > 1:
            return rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        if name.endswith((".weight", ".running_var")):
            return rng.uniform(0.5, 1.5, shape)
        return rng.normal(0, 0.1, shape)

    return {name: draw(name, shape).astype(np.float32) for name, shape in tensor_shapes().items()}


def load_weights(path: Path) -> dict[str, np.ndarray]:
    """Tensors of a safetensors file by name."""
    try:
        state = load_file(path)
    except (OSError, SafetensorError, TypeError, AttributeError) as error:
        # The last two: an element type that NumPy has not, such as bfloat16.
        raise SystemExit(f"{path} cannot be read, expected safetensors of float32 or float16: {error}") from error
    for name, shape in tensor_shapes().items():
        if name not in state or state[name].shape != shape:
            there = f"{name!r} of shape {state[name].shape}" if name in state else f"no {name!r}"
            raise SystemExit(f"{path} has {there}, expected it to be of shape {shape}, as in torchvision's resnet18")
    return state


def folded(state: Mapping[str, np.ndarray], convolution: Convolution) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias of a convolution that does what its batch norm would do behind it."""
    weight = state[f"{convolution.name}.weight"].astype(np.float64)
    gamma, beta, mean, variance = (
        state[f"{convolution.norm}.{name}"].astype(np.float64)
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + EPSILON)
    weight, bias = weight * scale[:, None, None, None], beta - mean * scale
    return weight.astype(np.float32), bias.astype(np.float32)


# -- the network ---------------------------------------------------------------


class ResNet18:
    """The network with its weights; plans are made at the first image of a size and kept.

    Parameters
    ----------
    state : mapping of str to ndarray
        Weights by torchvision's names.
    algorithm, threads
        As for `kernels.plan`.
    """

    def __init__(self, state: Mapping[str, np.ndarray], algorithm: str = "auto", threads: int | None = None) -> None:
        self._convolutions = {each.name: each for each in convolutions()}
        self._folded = {name: folded(state, each) for name, each in self._convolutions.items()}
        self._stem = ResNetStem(algorithm=algorithm, threads=threads)
        self._stem.load_state_dict({name: state[name] for name in self._stem.state_dict()})
        # A 1x1 convolution: NumPy's own product would wait for a core that waiting threads of the convolutions hold.
        weight = state["fc.weight"].astype(np.float32)[:, :, None, None]
        self._fc = Conv2d(weight.shape[1], weight.shape[0], 1, threads=threads)
        self._fc.load_state_dict({"weight": weight, "bias": state["fc.bias"].astype(np.float32)})
        self._algorithm, self._threads = algorithm, threads
        self._plans: dict[tuple[str, tuple[int, ...]], Plan] = {}

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Logits, shape (N, classes), of float32 images of shape (N, 3, H, W)."""
        x = self._stem(images)
        for stage, _, _ in STAGES:
            for block in (f"layer{stage}.0", f"layer{stage}.1"):
                x = self._block(block, x)
        return self._fc(x.mean((2, 3), keepdims=True))[:, :, 0, 0]

    def _block(self, name: str, x: np.ndarray) -> np.ndarray:
        shortcut = f"{name}.downsample.0"
        residual = self._convolve(shortcut, x, Epilogue()) if shortcut in self._convolutions else x
        inner = self._convolve(f"{name}.conv1", x, Epilogue(relu=True))
        return self._convolve(f"{name}.conv2", inner, Epilogue(residual=True, relu=True), residual)

    def _convolve(self, name: str, x: np.ndarray, epilogue: Epilogue, residual: np.ndarray | None = None) -> np.ndarray:
        known = self._plans.get((name, x.shape))
        if known is None:
            _, _, ic, oc, kernel, stride = self._convolutions[name]
            problem = Conv2dProblem(
                mb=x.shape[0], ic=ic, ih=x.shape[2], iw=x.shape[3], oc=oc, kh=kernel, kw=kernel,
                sh=stride, sw=stride, ph=kernel // 2, pw=kernel // 2, bias=True,
            )  # fmt: skip
            known = plan(
                problem, *self._folded[name], epilogue=epilogue, algorithm=self._algorithm, threads=self._threads
            )
            self._plans[name, x.shape] = known
        return known(x, residual=residual)


# -- the run -------------------------------------------------------------------


def read_image(path: Path | None, size: int) -> np.ndarray:
    """The middle of a picture as the network wants it, shape (1, 3, size, size); without a path, of a flower."""
    try:
        picture = Image.fromarray(load_sample_image("flower.jpg")) if path is None else Image.open(path).convert("RGB")
    except OSError as error:
        raise SystemExit(f"{path} cannot be read, expected a picture: {error}") from error
    # As torchvision's own preset: the shorter side becomes 256 where 224 are looked at.
    scale = size * 256 / 224 / min(picture.size)
    picture = picture.resize((round(scale * picture.width), round(scale * picture.height)))
    left, top = (picture.width - size) // 2, (picture.height - size) // 2
    pixels = np.asarray(picture.crop((left, top, left + size, top + size)), np.float32) / 255
    return np.ascontiguousarray(((pixels - MEAN) / DEVIATION).transpose(2, 0, 1)[None])


def count(text: str) -> int:
    """A number of things on the command line, 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"is {text!r}, expected a whole number, 1 or more")
    return int(text)


def compare(weights: Path, images: np.ndarray, ours: np.ndarray, threads: int | None, repeats: int) -> None:
    """The same weights and image through PyTorch: how far apart, and how long it takes."""
    try:
        from resnet18_torch import torch_network
    except ModuleNotFoundError as error:
        raise SystemExit("--compare needs PyTorch, expected it to be installed") from error
    network = torch_network(weights, threads)
    theirs = network(images)
    difference = np.abs(ours - theirs).max()
    print(f"largest difference from PyTorch: {difference:.2e}, where the largest logit is {np.abs(theirs).max():.3g}")
    taken = min(timeit.repeat(lambda: network(images), number=1, repeat=repeats))
    print(f"PyTorch: {1e3 * taken:.2f} ms an image")


def main() -> None:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--weights", type=Path, help="safetensors file with torchvision's names [drawn]")
    parser.add_argument("--image", type=Path, help="picture to classify [scikit-learn's flower]")
    parser.add_argument("--size", type=count, default=224, help="side to which it is scaled and cut [%(default)s]")
    parser.add_argument("--algorithm", default="auto", help="one for all convolutions [%(default)s]")
    parser.add_argument("--threads", type=count, help="[all that there are]")
    parser.add_argument("--repeats", type=count, default=10, help="images of which the fastest counts [%(default)s]")
    parser.add_argument("--compare", action="store_true", help="run PyTorch as well, where it is installed")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/resnet18"), help="folder of drawn weights [%(default)s]"
    )
    parser.add_argument("--seed", type=int, default=0, help="draws the weights [%(default)s]")
    asked = parser.parse_args()

    weights = asked.weights
    if weights is None:
        weights = asked.output / "drawn.safetensors"
        asked.output.mkdir(parents=True, exist_ok=True)
        save_file(draw_weights(asked.seed), weights)
        print(f"wrote {weights}: nobody trained them, so what they see means nothing")
    network = ResNet18(load_weights(weights), asked.algorithm, asked.threads)
    images = read_image(asked.image, asked.size)
    start = time.perf_counter()
    try:
        logits = network(images)
    except ValueError as refused:
        raise SystemExit(str(refused)) from refused
    first = time.perf_counter() - start
    print("top 5:", *(f"{index} ({logits[0, index]:.3f})" for index in np.argsort(-logits[0])[:5]))
    taken = min(timeit.repeat(lambda: network(images), number=1, repeat=asked.repeats))
    print(f"convmark: {1e3 * taken:.2f} ms an image, {first:.2f} s the first")
    if asked.compare:
        compare(weights, images, logits, asked.threads, asked.repeats)


if __name__ == "__main__":
    main()

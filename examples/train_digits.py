"""A small network that learns scikit-learn's handwritten digits, by gradients of `kernels.Conv2d` and plain SGD.

    pip install 'convmark[examples]'
    python examples/train_digits.py                    # ten epochs; a picture of loss and filters: digits.png
    python examples/train_digits.py --compare          # beside PyTorch: the same losses in the same precision
    python examples/train_digits.py --dtype float32 --epochs 3

Two convolutions of 3x3, each with ReLU and a max-pool of 2x2, and a linear layer; cross-entropy. Convolutions and their
gradients are computed by this project, all else by NumPy.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from sklearn.datasets import load_digits

from kernels import Conv2d

#: Pictures for training; the rest tells how well what was learnt holds.
_TRAINING = 1500
_BATCH = 50
#: Pixels of the picture: height of the curve, side of a filter, margin.
_HEIGHT, _SIDE, _MARGIN = 200, 48, 10


class Network:
    """Two convolutions and a linear layer.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    seed : int
    """

    def __init__(self, dtype: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.first = Conv2d(1, 8, 3, padding=1, dtype=dtype, rng=rng)
        self.second = Conv2d(8, 16, 3, padding=1, dtype=dtype, rng=rng)
        for layer in (self.first, self.second):
            layer.kaiming_normal_(nonlinearity="relu")
            layer.train()
        self.weight = rng.uniform(-0.1, 0.1, (10, 64)).astype(dtype)
        self.bias = np.zeros(10, dtype)

    def scores(self, pictures: np.ndarray) -> np.ndarray:
        """A number for each digit, of each picture; what `learn` needs is kept."""
        self._maps = []
        values = pictures
        for layer in (self.first, self.second):
            positive = np.maximum(layer(values), 0)
            values, largest = pooled(positive)
            self._maps.append((positive, largest))
        self._features = values.reshape(len(values), -1)
        scores: np.ndarray = self._features @ self.weight.T + self.bias
        return scores

    def learn(self, pictures: np.ndarray, digits: np.ndarray, rate: float) -> float:
        """One step of gradient descent; returns the loss before it."""
        scores = self.scores(pictures)
        shifted = scores - scores.max(1, keepdims=True)
        logarithms = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
        rows = np.arange(len(digits))
        grad = np.exp(logarithms)
        grad[rows, digits] -= 1
        grad /= len(digits)
        weight = grad.T @ self._features
        flowing = (grad @ self.weight).reshape(len(digits), 16, 2, 2)
        self.bias -= rate * grad.sum(0)
        self.weight -= rate * weight
        for layer, (positive, largest) in zip((self.second, self.first), reversed(self._maps), strict=True):
            found = layer.backward(spread(flowing, largest) * (positive > 0))
            assert layer.bias is not None and found.bias is not None
            layer.weight, layer.bias = layer.weight - rate * found.weight, layer.bias - rate * found.bias
            flowing = found.input
        return -float(logarithms[rows, digits].mean())


def pooled(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest of each 2x2 pixels, and which of the four it is."""
    mb, channels, height, width = maps.shape
    windows = maps.reshape(mb, channels, height // 2, 2, width // 2, 2).transpose(0, 1, 2, 4, 3, 5)
    four = windows.reshape(mb, channels, height // 2, width // 2, 4)
    largest = four.argmax(-1)[..., None]
    return np.take_along_axis(four, largest, -1)[..., 0], largest


def spread(grad: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """The gradient of what was pooled: to the largest of the four goes all of it."""
    mb, channels, height, width = grad.shape
    four = np.zeros((*grad.shape, 4), grad.dtype)
    np.put_along_axis(four, largest, grad[..., None], -1)
    windows = four.reshape(mb, channels, height, width, 2, 2).transpose(0, 1, 2, 4, 3, 5)
    return np.ascontiguousarray(windows.reshape(mb, channels, 2 * height, 2 * width))


def digits_of(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of 8x8 pixels from 0 to 1, and what they show."""
    found = load_digits()
    return (found.images[:, None] / 16).astype(dtype), found.target


def torchs_losses(network: Network, steps: list[tuple[np.ndarray, np.ndarray]], rate: float) -> list[float]:
    """Losses of PyTorch, from the same weights over the same batches."""
    import torch

    def convolution(layer: Conv2d) -> Any:
        made = torch.nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1)
        made.load_state_dict({name: torch.from_numpy(each.copy()) for name, each in layer.state_dict().items()})
        return made

    torch.set_default_dtype(torch.float64 if network.weight.dtype == np.float64 else torch.float32)
    linear = torch.nn.Linear(64, 10)
    own = {"weight": network.weight, "bias": network.bias}
    linear.load_state_dict({name: torch.from_numpy(each.copy()) for name, each in own.items()})
    model = torch.nn.Sequential(
        convolution(network.first), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        convolution(network.second), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(), linear,
    )  # fmt: skip
    descent = torch.optim.SGD(model.parameters(), lr=rate)
    losses = []
    for pictures, digits in steps:
        descent.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(pictures)), torch.from_numpy(digits))
        loss.backward()
        descent.step()
        losses.append(loss.item())
    return losses


def draw(losses: list[float], filters: np.ndarray, path: Path) -> None:
    """The loss of each step, from 0 to the largest, above the filters of the first layer."""
    width = 2 * _MARGIN + len(filters) * (_SIDE + _MARGIN)
    picture = Image.new("L", (width, _HEIGHT + _SIDE + 3 * _MARGIN), 255)
    pen = ImageDraw.Draw(picture)
    across = np.linspace(_MARGIN, width - _MARGIN, len(losses))
    down = _MARGIN + _HEIGHT * (1 - np.array(losses) / max(losses))
    pen.line([(_MARGIN, _MARGIN), (_MARGIN, _MARGIN + _HEIGHT), (width - _MARGIN, _MARGIN + _HEIGHT)], 160)
    pen.line([*zip(across.tolist(), down.tolist(), strict=True)], 0, 2)
    pen.text((width // 2, _MARGIN), f"loss of {len(losses)} steps: {losses[0]:.2f} to {losses[-1]:.2f}", 0)
    for i, each in enumerate(filters[:, 0]):
        shades = 255 * (each - each.min()) / max(float(np.ptp(each)), 1e-12)
        tile = Image.fromarray(shades.astype(np.uint8)).resize((_SIDE, _SIDE), Image.Resampling.NEAREST)
        picture.paste(tile, (_MARGIN + i * (_SIDE + _MARGIN), _HEIGHT + 2 * _MARGIN))
    picture.save(path)


def main() -> None:
    """Train, say how well, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rate", type=float, default=0.2, help="learning rate")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float64")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compare", action="store_true", help="train the same with PyTorch, and compare the losses")
    parser.add_argument("--output", type=Path, default=Path("digits.png"), help="picture of loss and filters")
    given = parser.parse_args()
    pictures, digits = digits_of(given.dtype)
    order = np.random.default_rng(given.seed)
    batches = [
        chosen for _ in range(given.epochs) for chosen in np.split(order.permutation(_TRAINING), _TRAINING // _BATCH)
    ]
    steps = [(pictures[chosen], digits[chosen]) for chosen in batches]
    network = Network(given.dtype, given.seed)
    theirs = torchs_losses(network, steps, given.rate) if given.compare else []
    start = time.perf_counter()
    losses = [network.learn(*step, given.rate) for step in steps]
    seconds = time.perf_counter() - start
    right = network.scores(pictures[_TRAINING:]).argmax(1) == digits[_TRAINING:]
    print(f"loss {losses[0]:.4f} to {losses[-1]:.4f} in {len(losses)} steps, {seconds:.1f} s")
    print(f"{right.mean():.1%} of {len(right)} other pictures are read right")
    if theirs:
        worst = max(abs(a - b) for a, b in zip(losses, theirs, strict=True))
        print(f"largest difference from PyTorch's losses: {worst:.2g}")
    draw(losses, network.first.weight, given.output)
    print(f"loss and filters: {given.output}")


if __name__ == "__main__":
    main()

"""The kinds of blocks, each as a function that draws its graph.

The names of parameters are the keys of a block's text, and their defaults are those of the text. Layers are
called as those of the classes in `kernels` are, so that one state fits both.
"""

from __future__ import annotations

from collections.abc import Callable

from suite.blocks.graph import INPUT, Drawing, Graph

__all__ = ["KINDS"]

#: Below zero, Darknet's activation keeps a tenth.
_LEAK = 0.1


def _conv_block(ic: int, ih: int, iw: int, oc: int, mb: int = 1, kh: int = 3) -> Graph:
    """Convolution, batch norm, ReLU and a 2x2 max-pool: what classifiers like VGG are made of."""
    draw = Drawing((mb, ic, ih, iw))
    value = draw.conv(INPUT, "conv", oc, kh, pad=kh // 2)
    value = draw.activate(draw.batch_norm(value, "bn"))
    return draw.graph(draw.max_pool(value, 2, stride=2))


def _resnet_stem(ic: int, ih: int, iw: int, oc: int, mb: int = 1) -> Graph:
    """What a ResNet begins with: 7x7 with stride 2, batch norm, ReLU, and a 3x3 max-pool with stride 2."""
    draw = Drawing((mb, ic, ih, iw))
    value = draw.conv(INPUT, "conv1", oc, 7, stride=2, pad=3)
    value = draw.activate(draw.batch_norm(value, "bn1"))
    return draw.graph(draw.max_pool(value, 3, stride=2, pad=1))


def _darknet_residual(ic: int, ih: int, iw: int, mb: int = 1) -> Graph:
    """Darknet-53's residual block: 1x1 to half of the channels, 3x3 back, and what came in added."""
    draw = Drawing((mb, ic, ih, iw))
    value = draw.conv(INPUT, "conv1", ic // 2, 1)
    value = draw.activate(draw.batch_norm(value, "bn1"), _LEAK)
    value = draw.conv(value, "conv2", ic, 3, pad=1)
    value = draw.activate(draw.batch_norm(value, "bn2"), _LEAK)
    return draw.graph(draw.add(value, INPUT))


def _unet_down(ic: int, ih: int, iw: int, oc: int, mb: int = 1) -> Graph:
    """One step down of a U-Net: two 3x3 layers, whose result is returned, and also its 2x2 max-pool."""
    draw = Drawing((mb, ic, ih, iw))
    value = draw.conv(INPUT, "conv1", oc, 3, pad=1)
    value = draw.activate(draw.batch_norm(value, "bn1"))
    value = draw.conv(value, "conv2", oc, 3, pad=1)
    skip = draw.activate(draw.batch_norm(value, "bn2"))
    return draw.graph(skip, draw.max_pool(skip, 2, stride=2))


def _depthwise_separable(ic: int, ih: int, iw: int, oc: int, mb: int = 1, sh: int = 1) -> Graph:
    """MobileNet's pair: 3x3 within each channel, then 1x1 across them."""
    draw = Drawing((mb, ic, ih, iw))
    value = draw.conv(INPUT, "conv1", ic, 3, stride=sh, pad=1, groups=ic)
    value = draw.activate(draw.batch_norm(value, "bn1"))
    value = draw.conv(value, "conv2", oc, 1)
    return draw.graph(draw.activate(draw.batch_norm(value, "bn2")))


def _dynamic_conv(ic: int, ih: int, iw: int, oc: int, mb: int = 1, kh: int = 3, sh: int = 1, e: int = 4) -> Graph:
    """CondConv (Yang et al. 2019, arXiv:1904.04971): ``e`` experts mixed for each sample, by what is in it."""
    draw = Drawing((mb, ic, ih, iw))
    routing = draw.sigmoid(draw.linear(draw.global_mean(INPUT), "routing", e))
    weight, bias = draw.mix(routing, "weight", (oc, ic, kh, kh)), draw.mix(routing, "bias", (oc,))
    return draw.graph(draw.conv_of_each(INPUT, weight, bias, stride=sh, pad=kh // 2))


#: By the name with which a block's text begins.
KINDS: dict[str, Callable[..., Graph]] = {
    "conv_block": _conv_block,
    "resnet_stem": _resnet_stem,
    "darknet_residual": _darknet_residual,
    "unet_down": _unet_down,
    "depthwise_separable": _depthwise_separable,
    "dynamic_conv": _dynamic_conv,
}

"""The work of ``convmark profile``."""

from __future__ import annotations

from pathlib import Path

from kernels import algorithms, get_algorithm
from suite.console import fail, print_json, print_table, stderr
from suite.machine.environment import this_machine
from suite.machine.host_lock import measuring_alone
from suite.machine.probes import PHASED
from suite.measure.phases import Ceilings, profile_phases
from suite.progress import Watch
from suite.report.phases import PHASE_HEADINGS, ceiling_line, phase_lines, phases_markdown
from suite.results.files import replace_file, unwritable
from suite.selection import select_layers

__all__ = ["profile"]

_DEFAULT = ("winograd_f4x3", "winograd_f6x3", "fft_tile16")

#: Layers of ResNet and of VGG, from few large planes to many small ones.
_PROBLEMS = (
    "ic64ih56oc64kh3ph1",
    "ic128ih28oc128kh3ph1",
    "ic256ih14oc256kh3ph1",
    "ic512ih7oc512kh3ph1",
    "ic64ih224oc64kh3ph1",
    "ic128ih112oc128kh3ph1",
    "ic256ih56oc256kh3ph1",
)


def profile(
    network: list[str] | None,
    algorithm: list[str] | None,
    problem: list[str] | None,
    output: Path | None,
    no_wait: bool,
    as_json: bool,
) -> None:
    """See `suite.commands.profile.profile`."""
    chosen = [get_algorithm(name) for name in algorithm or _DEFAULT]
    for each in chosen:
        if each.family not in PHASED:
            able = ", ".join(other.name for other in algorithms() if other.family in PHASED)
            fail(f"--algorithm is {each.name!r}, which has no phases, expected one of {able}")
    layers = {layer.problem: layer for layer in select_layers(network or (), problem or (() if network else _PROBLEMS))}
    ceilings = Ceilings()
    found = []
    with measuring_alone(wait=not no_wait), Watch(stderr(), len(layers) * len(chosen)) as watch:
        for layer in layers.values():
            for one in chosen:
                watch.at(layer, one.name)
                found.append(profile_phases(layer.problem, one.name, ceilings))
                watch.done_with((layer.network, layer.name), [{"status": "skipped" if found[-1].reason else "ok"}])
    if as_json:
        print_json({"fma_gflops": ceilings.fma_gflops, "profiles": [each.as_dict() for each in found]})
    else:
        print_table(PHASE_HEADINGS, phase_lines(found))
        print(": ".join(ceiling_line(ceilings)))
    if output is not None:
        text = phases_markdown(found, ceilings, this_machine())
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            replace_file(output, lambda part: part.write_text(text, encoding="utf-8"))
        except OSError as error:
            raise unwritable(output, error) from error

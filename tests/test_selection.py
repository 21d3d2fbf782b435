"""What is asked for becomes cases, or one sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kernels import ProblemError
from suite.catalogue import UnknownNetwork
from suite.contenders import UnknownContender, contenders
from suite.machine.environment import this_machine
from suite.results.rows import key_of
from suite.results.summary import identity_of
from suite.selection import Request, select_layers, select_networks

_TEXT = "ic3ih6oc4kh2ph1"


def _request(**changes: Any) -> Request:
    values: dict[str, Any] = {"networks": (), "problems": (_TEXT,), "contenders": ("direct_naive",), "mb": 1,
                              "threads": (1,), "budget_s": 0.0}  # fmt: skip
    return Request(**{**values, **changes})


def test_cases_of_a_case_are_together_and_have_their_rows_key() -> None:
    if this_machine().threads < 2:
        pytest.skip("one thread: nothing to tell apart")
    cases = _request(contenders=("direct_naive", "scipy"), threads=(1, 2), caches=("warm", "cold")).cases()
    assert [(case.threads, case.cache) for case in cases] == [(n, cache) for n in (1, 2) for cache in ("warm", "cold")]
    assert [[each.name for each in own] for own in cases.values()] == [["direct_naive", "scipy"]] * 4
    for case, own in cases.items():
        assert [key_of(identity_of(case, each)) for each in own] == [case.row_key(each.name) for each in own]
    assert len({case.key for case in cases}) == 4
    assert [json.loads(json.dumps(case.key)) for case in cases] == [[*case.key] for case in cases]


def test_all_stands_for_ours_and_peers() -> None:
    [own] = _request(contenders=("all",)).cases().values()
    assert [each.name for each in own] == [
        each.name for each in contenders() if not each.apart and "fwd" in each.directions
    ]


def test_networks_run_at_the_asked_batch_and_texts_at_their_own() -> None:
    asked = select_layers(["basics"], ["mb3ic2ih4oc2kh1"])
    assert {layer.problem.mb for layer in asked[:-1]} == {1}
    assert (asked[-1].network, asked[-1].problem.mb) == ("text", 3)
    assert max(layer.problem.mb for layer in select_layers(["basics"], mb=None)) == 64


def test_nothing_chosen_means_the_default_and_a_text_alone_means_itself() -> None:
    assert select_networks() == ("basics", "resnet50")
    assert select_networks(problems=[_TEXT]) == ()
    assert select_networks(["vgg19", "vgg19"]) == ("vgg19",)
    assert set(select_networks(every=True)) > {"basics", "resnet50", "vgg19"}
    assert [layer.network for layer in select_layers((), [_TEXT, _TEXT])] == ["text"]


def test_a_request_survives_json() -> None:
    request = _request(networks=("basics",), mb=None, threads=(1, 2), caches=("cold",), reference="direct_naive")
    assert Request.from_dict(json.loads(json.dumps(request.as_dict()))) == request


def test_a_request_of_the_first_version_is_understood() -> None:
    stored = {"networks": ["basics"], "problems": [], "algorithms": ["direct_naive"], "mb": 1, "threads": [1],
              "budget_s": 0.2}  # fmt: skip
    request = Request.from_dict(stored)
    assert (request.contenders, request.processes, request.caches) == (("direct_naive",), 1, ("warm",))


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"networks": ("resnet5",)}, UnknownNetwork, "did you mean resnet50"),
        ({"contenders": ("direct_tilde",)}, UnknownContender, "did you mean direct_tiled"),
        ({"problems": ("ic3ih2oc1kh3",)}, ProblemError, "kernel extent 3x3 .* larger than the padded input 2x2"),
        ({"threads": (0,)}, ValueError, "threads is 0, expected a whole number from 1 to"),
        ({"networks": ("basics",), "mb": -1}, ProblemError, "mb is -1, expected at least 0"),
    ],
)
def test_asking_for_what_there_is_not_is_one_sentence(changes: dict[str, Any], error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        _request(**changes).cases()

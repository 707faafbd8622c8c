"""The page says what the venue takes: every fault example is accepted, every kind and knob is named."""

from __future__ import annotations

import json
import re
from pathlib import Path

from exchange.paper.faults import KINDS, Faults
from exchange.paper.hyperliquid import ACTIONS
from exchange.paper.info import ANSWERS
from exchange.paper.knobs import Knobs

PAGE = (Path(__file__).parents[3] / "docs" / "paper.md").read_text()


def test_every_example_is_accepted_and_every_kind_has_one() -> None:
    faults = Faults(["BTC"], [*ANSWERS, *ACTIONS])
    examples = [json.loads(text) for text in re.findall(r"C '(\{.*?\})'", PAGE)]
    for example in examples:
        faults.add(example, 0)
    assert {example["kind"] for example in examples} | {"hide_orders", "hide_fills"} == set(KINDS)


def test_every_knob_is_named() -> None:
    assert [name for name in Knobs().as_json() if f"`{name}`" not in PAGE] == []

"""The guard over slices: Holm's correction for many of them, and evidence too coarse to tell."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.promote.policy import Policy
from steps.promote.promote import PROMOTE, REJECT, decide
from tests.steps.promote.evidence import distribution, evidence, part
from tests.steps.promote.test_promote import DEFAULT, codes


def test_many_slices_are_corrected_for() -> None:
    # p = .02 each: one of one is below .05, one of ten is not (Holm's first step asks for .005).
    ratio = distribution(1.05 + 0.01 * 2.0537, 0.01)
    one = part("status", "sold", 1, 1) | {"ratio": ratio}
    others = [part("status", f"kind {number}", 45_000, 50_000) for number in range(9)]
    assert decide(evidence(slices=[one]), DEFAULT).verdict == REJECT
    assert decide(evidence(slices=[one, *others]), DEFAULT).verdict == PROMOTE
    surely = part("status", "sold", 1, 1) | {"ratio": distribution(1.05 + 0.01 * 3.5, 0.01)}
    assert decide(evidence(slices=[surely, *others]), DEFAULT).verdict == REJECT


def slices_of(*ratios: float) -> list[dict[str, Any]]:
    """Return so many guarded slices by kind of sale; one by zip code comes with any evidence."""
    return [part("status", f"kind {number}", 50_000 * ratio, 50_000) for number, ratio in enumerate(ratios)]


@pytest.mark.parametrize(
    ("confidence", "ratios", "expected"),
    [
        # A limit of .0005 for the first of two, which 2,000 replicates can show; of .00033 for three they cannot.
        (0.999, [1.2], ["SLICE_WORSE", "COMPARED"]),
        (0.999, [1.2, 1.0], ["EVIDENCE_INCOMPLETE"]),
        (0.999, [1.2, 1.2], ["EVIDENCE_INCOMPLETE"]),
        (0.999, [1.0, 1.0], ["BETTER"]),
        (0.95, [1.2] + 98 * [1.0], ["SLICE_WORSE", "COMPARED"]),
        (0.95, [1.2] + 100 * [1.0], ["EVIDENCE_INCOMPLETE"]),
        (0.95, 101 * [1.0], ["BETTER"]),
    ],
)
def test_a_slice_that_too_few_replicates_cannot_fail_is_not_promoted(
    confidence: float, ratios: list[float], expected: list[str]
) -> None:
    assert codes(decide(evidence(slices=slices_of(*ratios)), Policy(confidence=confidence))) == expected


def test_too_few_replicates_are_named_with_what_was_asked_of_them() -> None:
    decided = decide(evidence(slices=slices_of(1.2, 1.0)), Policy(confidence=0.999))
    assert decided.reasons[0]["sentence"].endswith(
        "confidence 0.999 over 3 slices asks for p up to 0.00033, and 2,000 replicates show no less than 0.0005, as on "
        "status kind 0."
    )


@given(st.floats(0.01, 0.999), st.integers(1, 40))
def test_no_confidence_and_no_number_of_slices_lets_a_slice_pass_that_is_worse_in_every_replicate(
    confidence: float, others: int
) -> None:
    found = evidence(slices=slices_of(1.2, *others * [1.0]))
    assert decide(found, Policy(confidence=confidence)).verdict == REJECT

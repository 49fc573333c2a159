"""Another policy from a file: sections and thresholds by their names, all else refused by its own."""

from pathlib import Path

import pytest

from steps.promote import other_policy
from steps.promote.other_policy import PolicyRefused
from steps.promote.policy import Policy
from steps.promote.rejudging import HELD_AGAINST, THRESHOLDS
from steps.validate.policy import Policy as ValidatePolicy

REFUSED = {
    "promote: {confidense: 0.8}": "promote.confidense: Extra inputs are not permitted",
    "promote: {confidence: 2}": "promote.confidence: Input should be less than or equal to 0.999",
    "promote: {least_gain: .nan}": "promote.least_gain: Input should be",
    "promote: 3": "promote: must map names of thresholds to their values",
    "validate: {psy: 0.1}": "validate.psy: validate has no such threshold",
    "validate: {psi: high}": "validate.psi: must be a number of at least 0",
    "validate: {psi: -1}": "validate.psi: must be a number of at least 0",
    "validate: {psi: .inf}": "validate.psi: must be a number of at least 0",
    "confidence: 0": "confidence: the sections of a policy are promote and validate",
    "[1, 2]": "no sections: the sections of a policy are promote and validate",
    "promote: {": "ParserError",
    "!!python/object/apply:os.getcwd []": "ConstructorError",
}


def written(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_policy_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(PolicyRefused, match=r"policy\.yaml: ") as refused:
        other_policy.read(written(tmp_path, text), THRESHOLDS)
    assert REFUSED[text] in str(refused.value)


def test_a_file_that_is_not_there_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(PolicyRefused, match=r"none\.yaml: FileNotFoundError"):
        other_policy.read(tmp_path / "none.yaml", THRESHOLDS)


IN_YAML = "promote: {confidence: 0.8}\nvalidate:\n  psi: 0.1"
IN_JSON = '{"promote": {"confidence": 0.8}, "validate": {"psi": 0.1}}'


@pytest.mark.parametrize("text", [IN_YAML, IN_JSON])
def test_only_what_it_names_differs(tmp_path: Path, text: str) -> None:
    found = other_policy.read(written(tmp_path, text), THRESHOLDS)
    assert (found.promote, found.validate) == ({"confidence": 0.8}, {"psi": 0.1})
    stored = Policy(least_gain=0.2)
    assert found.for_promote(stored.model_dump()) == stored.model_copy(update={"confidence": 0.8})
    assert found.for_promote({**stored.model_dump(), "of_another_time": 1}) is None
    assert found.lines() == [("promote with", "confidence 0.8"), ("validate with", "psi 0.1")]


@pytest.mark.parametrize("text", ["", "promote:\nvalidate:\n", "{}"])
def test_an_empty_file_changes_nothing(tmp_path: Path, text: str) -> None:
    found = other_policy.read(written(tmp_path, text), THRESHOLDS)
    assert (found.promote, found.validate) == ({}, {})


def test_thresholds_of_validate_are_named_as_validate_names_them() -> None:
    assert ValidatePolicy.model_fields.keys() == THRESHOLDS > HELD_AGAINST > set()

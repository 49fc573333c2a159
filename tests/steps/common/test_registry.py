"""The alias and the versions' files: who is served, how that changes, and everything that can come in between."""

import threading

import pytest
from sqlalchemy import Connection

from steps.common import registry
from steps.common.artifacts import FileBroken
from steps.common.registry import ChampionLost, incumbent, roll_back, turn
from steps.common.step import NothingToDo, Refused
from steps.common.store import models
from steps.common.store.models import AliasEvent
from tests.steps.deployment import Deployment, change_a_byte


def promote(deployment: Deployment, version: int, reason: str = "better") -> AliasEvent:
    with turn(deployment.tracking, deployment.ledger, None, None) as mine:
        return mine.move("PROMOTE_INTENT", version, reason, f"run of {version}")


def kinds(deployment: Deployment) -> list[str]:
    return [event.kind for event in deployment.events()]


def alerts(deployment: Deployment) -> list[str]:
    return [alert["code"] for alert in deployment.rows("alerts")]


def test_nothing_registered_is_no_champion(deployment: Deployment) -> None:
    assert deployment.aliases() == (None, None)
    assert incumbent(deployment.tracking, deployment.ledger) is None


def test_a_promotion_sets_both_aliases_and_says_so_in_the_ledger(deployment: Deployment) -> None:
    one, two = deployment.versions(2)
    assert promote(deployment, one).kind == "ALIAS_SET"
    assert deployment.aliases() == (one, None)
    assert promote(deployment, two).kind == "ALIAS_SET"
    assert deployment.aliases() == (two, one)
    intent, settled = deployment.events()[2:]
    assert (intent.kind, intent.expected, intent.candidate, intent.previous) == ("PROMOTE_INTENT", one, two, one)
    assert (settled.kind, settled.intent_id, settled.candidate, settled.reason) == (
        "ALIAS_SET", intent.event_id, two, "better",
    )  # fmt: skip


def test_promoting_twice_changes_nothing(deployment: Deployment) -> None:
    one, two = deployment.versions(2)
    promote(deployment, one)
    promote(deployment, two)
    before = deployment.events()
    with pytest.raises(NothingToDo, match="already"):
        promote(deployment, two)
    assert deployment.events() == before
    assert deployment.aliases() == (two, one)


def test_two_at_once_take_turns(deployment: Deployment) -> None:
    one, two, three = deployment.versions(3)
    promote(deployment, one)
    threads = [threading.Thread(target=promote, args=(deployment, version)) for version in (two, three)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    champion, before = deployment.aliases()
    assert {champion, before} == {two, three}
    assert kinds(deployment)[2:] == ["PROMOTE_INTENT", "ALIAS_SET"] * 2


def test_a_refused_admission_leaves_no_intent(deployment: Deployment) -> None:
    (one,) = deployment.versions(1)

    def refuse(_: Connection) -> None:
        raise Refused("fenced")

    with turn(deployment.tracking, deployment.ledger, None, None) as mine, pytest.raises(Refused, match="fenced"):
        mine.move("PROMOTE_INTENT", one, "better", "r", refuse)
    assert deployment.events() == []
    assert deployment.aliases() == (None, None)


def left_open(deployment: Deployment, expected: int | None, candidate: int) -> AliasEvent:
    """Leave an intent behind, as a promoter does that is killed after committing it."""
    with deployment.ledger.begin() as connection:
        intent = models.append_alias_event(
            connection, "PROMOTE_INTENT", reason="better", expected=expected, candidate=candidate, previous=expected,
            run_id="killed",
        )  # fmt: skip
    assert intent is not None
    return intent


def begin(deployment: Deployment, run_id: str | None = "next run", batch: int | None = 4) -> AliasEvent:
    """Take a turn and do nothing with it; return what the ledger has last."""
    with turn(deployment.tracking, deployment.ledger, run_id, batch):
        pass
    return deployment.events()[-1]


def test_an_open_intent_goes_on_where_the_alias_is_as_expected(deployment: Deployment) -> None:
    one, two = deployment.versions(2)
    promote(deployment, one)
    intent = left_open(deployment, one, two)
    settled = begin(deployment)
    assert (settled.kind, settled.intent_id, settled.run_id) == ("ALIAS_SET", intent.event_id, "killed")
    assert deployment.aliases() == (two, one)
    assert begin(deployment) == settled


def test_an_open_intent_is_written_as_done_where_the_alias_is_the_candidate(deployment: Deployment) -> None:
    one, two = deployment.versions(2)
    promote(deployment, one)
    left_open(deployment, one, two)
    deployment.set_alias(two)
    assert begin(deployment).kind == "ALIAS_SET"
    # Killed between the two aliases: `previous` is set by whoever settles.
    assert deployment.aliases() == (two, one)


def test_an_open_intent_is_stale_where_the_alias_is_another(deployment: Deployment) -> None:
    one, two, three = deployment.versions(3)
    promote(deployment, one)
    intent = left_open(deployment, one, two)
    deployment.set_alias(three)
    begin(deployment)
    stale, adopted = deployment.events()[-2:]
    assert (stale.kind, stale.intent_id) == ("STALE", intent.event_id)
    assert f"names version {three}, the intent was {one} to {two}" in stale.reason
    assert (adopted.kind, adopted.candidate) == ("ADOPTED", three)
    assert deployment.aliases()[0] == three


def test_an_intent_for_a_version_that_is_gone_does_not_stay_open(deployment: Deployment) -> None:
    one, two = deployment.versions(2)
    promote(deployment, one)
    left_open(deployment, one, two)
    deployment.tracking.delete_model_version(registry.MODEL, str(two))
    settled = begin(deployment)
    assert (settled.kind, settled.reason) == ("STALE", f"MLflow has no version {two} of house-price any more")
    assert deployment.aliases() == (one, None)


def test_an_alias_moved_by_hand_is_written_down_alerted_and_left(deployment: Deployment) -> None:
    one, two = deployment.versions(2)
    promote(deployment, one)
    deployment.set_alias(two)
    adopted = begin(deployment)
    assert (adopted.kind, adopted.expected, adopted.candidate) == ("ADOPTED", one, two)
    assert alerts(deployment) == ["ALIAS_MOVED_BY_HAND"]
    assert deployment.aliases() == (two, None)
    assert begin(deployment) == adopted
    assert len(alerts(deployment)) == 1


@pytest.mark.parametrize(("run_id", "batch"), [(None, None), ("next run", 4)])
def test_every_move_by_hand_is_alerted_also_the_second_of_one_run_or_of_none(
    deployment: Deployment, run_id: str | None, batch: int | None
) -> None:
    one, two = deployment.versions(2)
    promote(deployment, one)
    for version in (two, one, two):
        deployment.set_alias(version)
        begin(deployment, run_id, batch)
        begin(deployment, run_id, batch)
    assert alerts(deployment) == ["ALIAS_MOVED_BY_HAND"] * 3
    moves = [event.event_id for event in deployment.events() if event.kind == "ADOPTED"]
    assert [alert["alias_event"] for alert in deployment.rows("alerts")] == moves


def test_an_alias_set_by_hand_before_anything_was_promoted_is_the_champion(deployment: Deployment) -> None:
    (one,) = deployment.versions(1)
    deployment.set_alias(one)
    assert incumbent(deployment.tracking, deployment.ledger) == one
    assert begin(deployment).kind == "ADOPTED"


def test_a_deleted_champion_is_stood_in_for_by_previous(deployment: Deployment) -> None:
    one, two = deployment.versions(2)
    promote(deployment, one)
    promote(deployment, two)
    deployment.tracking.delete_model_version(registry.MODEL, str(two))
    assert deployment.aliases() == (None, one)
    assert incumbent(deployment.tracking, deployment.ledger) == one
    lost = begin(deployment)
    assert (lost.kind, lost.expected, lost.candidate) == ("ADOPTED", two, None)
    assert alerts(deployment) == ["ALIAS_LOST"]
    assert begin(deployment) == lost


def test_a_promotion_after_the_alias_was_lost_keeps_previous(deployment: Deployment) -> None:
    one, two, three = deployment.versions(3)
    promote(deployment, one)
    promote(deployment, two)
    deployment.tracking.delete_model_version(registry.MODEL, str(two))
    promote(deployment, three)
    assert deployment.aliases() == (three, one)


def test_champion_and_previous_lost_is_refused_not_taken_for_a_first_model(deployment: Deployment) -> None:
    (one,) = deployment.versions(1)
    promote(deployment, one)
    deployment.tracking.delete_model_version(registry.MODEL, str(one))
    with pytest.raises(ChampionLost, match=f"it named version {one}"):
        incumbent(deployment.tracking, deployment.ledger)


def test_a_rollback_and_what_previous_names_after_it(deployment: Deployment) -> None:
    one, two = deployment.versions(2)
    promote(deployment, one)
    promote(deployment, two)
    settled = roll_back(deployment.tracking, deployment.ledger, "prices too high in Ohio")
    assert (settled.kind, settled.reason) == ("ALIAS_SET", "prices too high in Ohio")
    assert deployment.aliases() == (one, two)
    assert kinds(deployment)[-2:] == ["ROLLBACK_INTENT", "ALIAS_SET"]


def test_a_rollback_asked_for_twice_is_done_once(deployment: Deployment) -> None:
    one, two = deployment.versions(2)
    promote(deployment, one)
    promote(deployment, two)
    roll_back(deployment.tracking, deployment.ledger, "bad")
    with pytest.raises(NothingToDo, match=f"the last move was a rollback, to version {one}"):
        roll_back(deployment.tracking, deployment.ledger, "bad")
    assert deployment.aliases() == (one, two)


def test_a_rollback_to_a_named_version_can_undo_a_rollback(deployment: Deployment) -> None:
    one, two = deployment.versions(2)
    promote(deployment, one)
    promote(deployment, two)
    roll_back(deployment.tracking, deployment.ledger, "bad")
    roll_back(deployment.tracking, deployment.ledger, "it was not", to=two)
    assert deployment.aliases() == (two, one)
    with pytest.raises(NothingToDo, match="already"):
        roll_back(deployment.tracking, deployment.ledger, "it was not", to=two)


def test_a_rollback_killed_after_its_intent_is_not_rolled_back_again(deployment: Deployment) -> None:
    one, two = deployment.versions(2)
    promote(deployment, one)
    promote(deployment, two)
    with deployment.ledger.begin() as connection:
        models.append_alias_event(
            connection, "ROLLBACK_INTENT", reason="bad", expected=two, candidate=one, previous=two
        )
    with pytest.raises(NothingToDo, match=f"moved from version {two} to {one}"):
        roll_back(deployment.tracking, deployment.ledger, "bad")
    assert deployment.aliases() == (one, two)


def test_a_rollback_with_nothing_to_go_back_to_is_refused(deployment: Deployment) -> None:
    (one,) = deployment.versions(1)
    promote(deployment, one)
    with pytest.raises(Refused, match="nothing to roll back to"):
        roll_back(deployment.tracking, deployment.ledger, "bad")
    assert deployment.aliases() == (one, None)


def test_a_rollback_to_a_version_whose_file_changed_is_refused(deployment: Deployment) -> None:
    one, two = deployment.versions(2)
    promote(deployment, one)
    promote(deployment, two)
    change_a_byte(deployment.stored(one, "model.bin"))
    with pytest.raises(FileBroken, match=r"model\.bin is not the file the ledger knows"):
        roll_back(deployment.tracking, deployment.ledger, "bad")
    assert deployment.aliases() == (two, one)

"""The alias and the versions' files: who is served, how that changes, and everything that can come in between."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import Connection

from steps.common import registry
from steps.common.artifacts import FileBroken
from steps.common.registry import ChampionLost, fetch_version, incumbent, roll_back, turn
from steps.common.settings import Settings
from steps.common.step import NothingToDo, Refused
from steps.common.store import models
from steps.common.store.connection import Unreachable
from steps.common.store.models import AliasEvent, ModelFile, ModelVersion, VersionDiffers
from steps.common.tracking import Tracking
from tests.steps.deployment import Deployment


def versions(deployment: Deployment, count: int) -> list[int]:
    return [deployment.version(deployment.claim(f"run {number}", number)) for number in range(count)]


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
    one, two = versions(deployment, 2)
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
    one, two = versions(deployment, 2)
    promote(deployment, one)
    promote(deployment, two)
    before = deployment.events()
    with pytest.raises(NothingToDo, match="already"):
        promote(deployment, two)
    assert deployment.events() == before
    assert deployment.aliases() == (two, one)


def test_two_at_once_take_turns(deployment: Deployment) -> None:
    one, two, three = versions(deployment, 3)
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
    (one,) = versions(deployment, 1)

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


def begin(deployment: Deployment) -> AliasEvent:
    """Take a turn and do nothing with it; return what the ledger has last."""
    with turn(deployment.tracking, deployment.ledger, "next run", 4):
        pass
    return deployment.events()[-1]


def test_an_open_intent_goes_on_where_the_alias_is_as_expected(deployment: Deployment) -> None:
    one, two = versions(deployment, 2)
    promote(deployment, one)
    intent = left_open(deployment, one, two)
    settled = begin(deployment)
    assert (settled.kind, settled.intent_id, settled.run_id) == ("ALIAS_SET", intent.event_id, "killed")
    assert deployment.aliases() == (two, one)
    assert begin(deployment) == settled


def test_an_open_intent_is_written_as_done_where_the_alias_is_the_candidate(deployment: Deployment) -> None:
    one, two = versions(deployment, 2)
    promote(deployment, one)
    left_open(deployment, one, two)
    deployment.set_alias(two)
    assert begin(deployment).kind == "ALIAS_SET"
    # Killed between the two aliases: `previous` is set by whoever settles.
    assert deployment.aliases() == (two, one)


def test_an_open_intent_is_stale_where_the_alias_is_another(deployment: Deployment) -> None:
    one, two, three = versions(deployment, 3)
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
    one, two = versions(deployment, 2)
    promote(deployment, one)
    left_open(deployment, one, two)
    deployment.tracking.delete_model_version(registry.MODEL, str(two))
    settled = begin(deployment)
    assert (settled.kind, settled.reason) == ("STALE", f"MLflow has no version {two} of house-price any more")
    assert deployment.aliases() == (one, None)


def test_an_alias_moved_by_hand_is_written_down_alerted_and_left(deployment: Deployment) -> None:
    one, two = versions(deployment, 2)
    promote(deployment, one)
    deployment.set_alias(two)
    adopted = begin(deployment)
    assert (adopted.kind, adopted.expected, adopted.candidate) == ("ADOPTED", one, two)
    assert alerts(deployment) == ["ALIAS_MOVED_BY_HAND"]
    assert deployment.aliases() == (two, None)
    assert begin(deployment) == adopted
    assert len(alerts(deployment)) == 1


def test_an_alias_set_by_hand_before_anything_was_promoted_is_the_champion(deployment: Deployment) -> None:
    (one,) = versions(deployment, 1)
    deployment.set_alias(one)
    assert incumbent(deployment.tracking, deployment.ledger) == one
    assert begin(deployment).kind == "ADOPTED"


def test_a_deleted_champion_is_stood_in_for_by_previous(deployment: Deployment) -> None:
    one, two = versions(deployment, 2)
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
    one, two, three = versions(deployment, 3)
    promote(deployment, one)
    promote(deployment, two)
    deployment.tracking.delete_model_version(registry.MODEL, str(two))
    promote(deployment, three)
    assert deployment.aliases() == (three, one)


def test_champion_and_previous_lost_is_refused_not_taken_for_a_first_model(deployment: Deployment) -> None:
    (one,) = versions(deployment, 1)
    promote(deployment, one)
    deployment.tracking.delete_model_version(registry.MODEL, str(one))
    with pytest.raises(ChampionLost, match=f"it named version {one}"):
        incumbent(deployment.tracking, deployment.ledger)


def test_a_rollback_and_what_previous_names_after_it(deployment: Deployment) -> None:
    one, two = versions(deployment, 2)
    promote(deployment, one)
    promote(deployment, two)
    settled = roll_back(deployment.tracking, deployment.ledger, "prices too high in Ohio")
    assert (settled.kind, settled.reason) == ("ALIAS_SET", "prices too high in Ohio")
    assert deployment.aliases() == (one, two)
    assert kinds(deployment)[-2:] == ["ROLLBACK_INTENT", "ALIAS_SET"]


def test_a_rollback_asked_for_twice_is_done_once(deployment: Deployment) -> None:
    one, two = versions(deployment, 2)
    promote(deployment, one)
    promote(deployment, two)
    roll_back(deployment.tracking, deployment.ledger, "bad")
    with pytest.raises(NothingToDo, match=f"the last move was a rollback, to version {one}"):
        roll_back(deployment.tracking, deployment.ledger, "bad")
    assert deployment.aliases() == (one, two)


def test_a_rollback_to_a_named_version_can_undo_a_rollback(deployment: Deployment) -> None:
    one, two = versions(deployment, 2)
    promote(deployment, one)
    promote(deployment, two)
    roll_back(deployment.tracking, deployment.ledger, "bad")
    roll_back(deployment.tracking, deployment.ledger, "it was not", to=two)
    assert deployment.aliases() == (two, one)
    with pytest.raises(NothingToDo, match="already"):
        roll_back(deployment.tracking, deployment.ledger, "it was not", to=two)


def test_a_rollback_killed_after_its_intent_is_not_rolled_back_again(deployment: Deployment) -> None:
    one, two = versions(deployment, 2)
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
    (one,) = versions(deployment, 1)
    promote(deployment, one)
    with pytest.raises(Refused, match="nothing to roll back to"):
        roll_back(deployment.tracking, deployment.ledger, "bad")
    assert deployment.aliases() == (one, None)


def test_a_rollback_to_a_version_whose_file_changed_is_refused(deployment: Deployment) -> None:
    one, two = versions(deployment, 2)
    promote(deployment, one)
    promote(deployment, two)
    one_byte(deployment.stored(one, "model.bin"))
    with pytest.raises(FileBroken, match=r"model\.bin is not the file the ledger knows"):
        roll_back(deployment.tracking, deployment.ledger, "bad")
    assert deployment.aliases() == (two, one)


def one_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_versions_files_come_verified_and_stay(deployment: Deployment, tmp_path: Path) -> None:
    (one,) = versions(deployment, 1)
    found = fetch_version(deployment.tracking, deployment.ledger, one, tmp_path / "here")
    assert found == tmp_path / "here" / str(one)
    assert (found / "model.bin").read_bytes() == deployment.stored(one, "model.bin").read_bytes()
    deployment.stored(one, "model.bin").unlink()
    assert fetch_version(deployment.tracking, deployment.ledger, one, tmp_path / "here") == found


def test_a_file_changed_by_a_byte_is_not_used(deployment: Deployment, tmp_path: Path) -> None:
    (one,) = versions(deployment, 1)
    one_byte(deployment.stored(one, "model.bin"))
    with pytest.raises(FileBroken, match=r"model\.bin is not the file the ledger knows"):
        fetch_version(deployment.tracking, deployment.ledger, one, tmp_path / "here")
    assert not [path for path in (tmp_path / "here").rglob("*") if path.is_file()]


@pytest.mark.parametrize("change", [lambda content: content + b"more", lambda content: content[:-1], lambda _: b""])
def test_a_file_of_another_size_is_not_used(deployment: Deployment, tmp_path: Path, change: object) -> None:
    (one,) = versions(deployment, 1)
    stored = deployment.stored(one, "model.bin")
    assert callable(change)
    stored.write_bytes(change(stored.read_bytes()))
    with pytest.raises(FileBroken):
        fetch_version(deployment.tracking, deployment.ledger, one, tmp_path)


def test_a_missing_file_is_said_to_be_missing(deployment: Deployment, tmp_path: Path) -> None:
    (one,) = versions(deployment, 1)
    deployment.stored(one, "model.bin").unlink()
    with pytest.raises(FileBroken, match="is not in the artifact store, though the ledger knows it"):
        fetch_version(deployment.tracking, deployment.ledger, one, tmp_path)


def test_a_file_here_that_was_changed_is_fetched_again(deployment: Deployment, tmp_path: Path) -> None:
    (one,) = versions(deployment, 1)
    found = fetch_version(deployment.tracking, deployment.ledger, one, tmp_path)
    one_byte(found / "model.bin")
    fetch_version(deployment.tracking, deployment.ledger, one, tmp_path)
    assert (found / "model.bin").read_bytes() == deployment.stored(one, "model.bin").read_bytes()


def test_a_version_the_ledger_does_not_know_is_not_used(deployment: Deployment, tmp_path: Path) -> None:
    with pytest.raises(FileBroken, match="the ledger has no files of version 77"):
        fetch_version(deployment.tracking, deployment.ledger, 77, tmp_path)


@pytest.mark.parametrize("path", ["../outside", "/outside", "a/../../outside"])
def test_a_path_that_leads_out_is_refused(deployment: Deployment, tmp_path: Path, path: str) -> None:
    claim = deployment.claim("r")
    with deployment.ledger.begin() as connection:
        version = ModelVersion(5, claim.claim_id, "run", "mlflow-artifacts:/1/run/artifacts/model", "f", {})
        models.append_version(connection, version, [ModelFile(path, "0" * 64, 1)])
    with pytest.raises(FileBroken, match="no path below"):
        fetch_version(deployment.tracking, deployment.ledger, 5, tmp_path)


def test_the_same_version_twice_is_once_and_another_is_refused(deployment: Deployment) -> None:
    claim = deployment.claim("r")
    version, file = (
        ModelVersion(5, claim.claim_id, "run", "mlflow-artifacts:/1/x", "f", {}),
        ModelFile("a", "0" * 64, 1),
    )
    for _ in range(2):
        with deployment.ledger.begin() as connection:
            models.append_version(connection, version, [file])
    other = ModelVersion(5, deployment.claim("s", 1).claim_id, "run", "mlflow-artifacts:/1/x", "f", {})
    with pytest.raises(VersionDiffers), deployment.ledger.begin() as connection:
        models.append_version(connection, other, [file])
    with pytest.raises(VersionDiffers, match="other files"), deployment.ledger.begin() as connection:
        models.append_version(connection, version, [ModelFile("a", "1" * 64, 1)])
    assert len(deployment.rows("model_versions")) == len(deployment.rows("model_files")) == 1


@contextmanager
def store(answer: type[BaseHTTPRequestHandler]) -> Iterator[Tracking]:
    """Stand an artifact store up that answers as told."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Tracking(Settings(mlflow_url=f"http://127.0.0.1:{server.server_port}"))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Dripping(BaseHTTPRequestHandler):
    """Sends a byte at a time, for ever."""

    def do_GET(self) -> None:
        """Never come to an end."""
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        stop = threading.Event()
        try:
            while not stop.wait(0.05):
                self.wfile.write(b"x")
                self.wfile.flush()
        except OSError:
            stop.set()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Down(Dripping):
    """Answers that its bucket is down."""

    def do_GET(self) -> None:
        """Fail."""
        self.send_error(500)


class Elsewhere(Dripping):
    """Sends whoever asks to another place."""

    def do_GET(self) -> None:
        """Redirect."""
        self.send_response(302)
        self.send_header("Location", "http://127.0.0.1:9/")
        self.end_headers()


@pytest.mark.parametrize(
    ("answer", "why"), [(Dripping, "did not arrive in time"), (Down, "answer 500"), (Elsewhere, "answer 302")]
)
@pytest.mark.timeout(120)
def test_a_store_that_does_not_deliver_is_given_up(
    deployment: Deployment, tmp_path: Path, answer: type[BaseHTTPRequestHandler], why: str
) -> None:
    (one,) = versions(deployment, 1)
    with store(answer) as tracking, pytest.raises(Unreachable, match=why) as refused:
        fetch_version(tracking, deployment.ledger, one, tmp_path, seconds=1)
    assert "APPRAISER_MLFLOW_URL" in str(refused.value)

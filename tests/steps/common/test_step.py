"""The protocol every step follows, with a step that keeps its effect in a list and a real ledger."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine

from steps.common import step as protocol
from steps.common.step import DONE, FAILED, FENCED, NOTHING_TO_DO, RETRY, Job, NothingToDo, Result, Step
from steps.common.store import ledger
from steps.common.store.ledger import Alert, Claim, Completion, Verdict
from tests.servers import Databases

SOURCE = "test source"


class Effects:
    """What a step left behind, and how often it worked."""

    def __init__(self) -> None:
        self.left: dict[str, str] = {}
        self.performed: list[str] = []
        self.pause = threading.Event()
        self.pause.set()

    def step(self, name: str, result: Result | None = None) -> Step:
        """Return a step that leaves its mark here."""

        def perform(_: Job) -> Result:
            self.performed.append(name)
            self.pause.wait(10)
            self.left[name] = f"digest of {name}"
            return result or Result(self.left[name], {"rows": 1}, [("rows", 1)])

        return Step(name, perform, lambda *_: self.left.get(name))


@pytest.fixture
def effects() -> Effects:
    return Effects()


@pytest.fixture
def engine(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    for name, value in {**databases.settings(), "APPRAISER_SOURCE_ID": SOURCE}.items():
        monkeypatch.setenv(name, value)
    engine = create_engine(databases.url("ledger"))
    yield engine
    engine.dispose()


def claimed(engine: Engine, run_id: str, batch: int = 0, *, fetched: bool = True, force: bool = False) -> Claim:
    """Give a run a claim, as fetch does, with fetch's completion row."""
    with engine.begin() as connection:
        ledger.append_run(connection, run_id, SOURCE, force_train=force)
        claim = ledger.claim_batch(connection, run_id, SOURCE, batch, "sha", force_train=force)
        if fetched:
            taken_up = claim.attempt > 1
            first = ledger.earlier_attempts(connection, claim)[-1].claim_id if taken_up else None
            row = Completion(claim.claim_id, "fetch", 0, "d", {}, first, 0.0)
            ledger.append_completion(connection, row, None, None)
    return claim


def completion(engine: Engine, claim: Claim, step: str) -> Completion | None:
    with engine.connect() as connection:
        return ledger.completion(connection, claim.claim_id, step)


@pytest.mark.usefixtures("engine")
def test_a_run_the_ledger_does_not_know_is_refused(effects: Effects, capsys: pytest.CaptureFixture[str]) -> None:
    assert protocol.main(effects.step("validate"), ["--run-id", "nobody"]) == FAILED
    assert "UnknownRun: run nobody has no claim in the ledger" in capsys.readouterr().out
    assert effects.performed == []


def test_a_step_waits_for_the_one_before_it(
    engine: Engine, effects: Effects, capsys: pytest.CaptureFixture[str]
) -> None:
    claimed(engine, "r1")
    assert protocol.main(effects.step("clean"), ["--run-id", "r1"]) == FAILED
    assert "validate has not completed for run r1" in capsys.readouterr().out


def test_a_step_done_before_is_not_repeated(engine: Engine, effects: Effects) -> None:
    claim = claimed(engine, "r1")
    assert protocol.main(effects.step("validate"), ["--run-id", "r1"]) == DONE
    assert protocol.main(effects.step("validate"), ["--run-id", "r1"]) == DONE
    assert effects.performed == ["validate"]
    done = completion(engine, claim, "validate")
    assert done is not None
    assert (done.digest, done.summary, done.adopted_from) == ("digest of validate", {"rows": 1}, None)


def test_a_step_whose_effect_is_gone_is_done_again(engine: Engine, effects: Effects) -> None:
    claimed(engine, "r1")
    protocol.main(effects.step("validate"), ["--run-id", "r1"])
    effects.left.clear()
    assert protocol.main(effects.step("validate"), ["--run-id", "r1"]) == DONE
    assert effects.performed == ["validate", "validate"]


def test_an_early_end_is_kept_and_passed_on(engine: Engine, effects: Effects) -> None:
    claim = claimed(engine, "r1")
    skipped = Result("digest of validate", {}, exit_code=NOTHING_TO_DO, outcome="SKIP", alerts=[Alert("A", "look")])
    for _ in range(2):
        assert protocol.main(effects.step("validate", skipped), ["--run-id", "r1"]) == NOTHING_TO_DO
    assert protocol.main(effects.step("clean"), ["--run-id", "r1"]) == NOTHING_TO_DO
    assert effects.performed == ["validate"]
    with engine.connect() as connection:
        assert ledger.attempts(connection, SOURCE, 0) == [(claim, "SKIP")]


def test_a_later_attempt_adopts_what_is_done_and_only_in_a_row(engine: Engine, effects: Effects) -> None:
    first = claimed(engine, "r1")
    verdict = Verdict("TRAIN", [{"code": "NO_CHAMPION"}], {}, {})
    judged = Result("digest of validate", {"rows": 1}, verdict=verdict)
    protocol.main(effects.step("validate", judged), ["--run-id", "r1"])
    protocol.main(effects.step("clean"), ["--run-id", "r1"])
    second = claimed(engine, "r2")
    effects.left.pop("validate")
    protocol.main(effects.step("validate", judged), ["--run-id", "r2"])
    protocol.main(effects.step("clean"), ["--run-id", "r2"])
    # validate's work was gone and done anew, so clean's, which rests on it, was done anew as well.
    assert effects.performed == ["validate", "clean", "validate", "clean"]
    third = claimed(engine, "r3")
    assert protocol.main(effects.step("validate", judged), ["--run-id", "r3"]) == DONE
    assert protocol.main(effects.step("clean"), ["--run-id", "r3"]) == DONE
    assert len(effects.performed) == 4
    adopted = completion(engine, third, "clean")
    assert adopted is not None
    assert adopted.adopted_from == second.claim_id
    assert first.claim_id < second.claim_id < third.claim_id
    with engine.connect() as connection:
        found = ledger.verdict(connection, third.claim_id, "validate")
    assert found is not None
    assert found.verdict == "TRAIN"


def test_a_finished_batch_taken_up_on_purpose_is_judged_afresh(engine: Engine, effects: Effects) -> None:
    claimed(engine, "r1")
    done = Result("digest of validate", {}, exit_code=NOTHING_TO_DO, outcome="SKIP")
    protocol.main(effects.step("validate", done), ["--run-id", "r1"])
    again = claimed(engine, "r2", fetched=False, force=True)
    with engine.begin() as connection:
        assert ledger.earlier_attempts(connection, again) == []


def test_an_attempt_that_was_overtaken_writes_nothing(engine: Engine, effects: Effects) -> None:
    first = claimed(engine, "r1")
    effects.pause.clear()
    exits: list[int] = []
    slow = threading.Thread(target=lambda: exits.append(protocol.main(effects.step("validate"), ["--run-id", "r1"])))
    slow.start()
    while not effects.performed:
        pass
    claimed(engine, "r2")
    effects.pause.set()
    slow.join(20)
    assert exits == [FENCED]
    assert completion(engine, first, "validate") is None
    assert protocol.main(effects.step("validate"), ["--run-id", "r1"]) == FENCED


def test_two_processes_of_one_step_work_once(engine: Engine, effects: Effects) -> None:
    claimed(engine, "r1")
    effects.pause.clear()
    exits: list[int] = []
    both = [
        threading.Thread(target=lambda: exits.append(protocol.main(effects.step("validate"), ["--run-id", "r1"])))
        for _ in range(2)
    ]
    for one in both:
        one.start()
    effects.pause.set()
    for one in both:
        one.join(20)
    assert exits == [DONE, DONE]
    assert effects.performed == ["validate"]


def test_a_ledger_of_another_source_is_refused(
    engine: Engine, effects: Effects, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    claimed(engine, "r1")
    monkeypatch.setenv("APPRAISER_SOURCE_ID", "somebody else's")
    assert protocol.main(effects.step("validate"), ["--run-id", "r1"]) == FAILED
    assert f"this ledger belongs to the source {SOURCE}, not to somebody else's" in capsys.readouterr().out


def test_an_unreachable_database_is_one_sentence(
    effects: Effects, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], free_port: int
) -> None:
    monkeypatch.setenv("APPRAISER_LEDGER_URL", f"postgresql+psycopg://nobody:x@127.0.0.1:{free_port}/ledger")
    monkeypatch.setenv("APPRAISER_SOURCE_ID", SOURCE)
    assert protocol.main(effects.step("validate"), ["--run-id", "r1"]) == RETRY
    out = capsys.readouterr().out
    assert f"APPRAISER_LEDGER_URL: no answer from 127.0.0.1:{free_port}/ledger" in out
    assert "Traceback" not in out


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("APPRAISER_LEGDER_URL", "x", "APPRAISER_LEGDER_URL: Extra inputs are not permitted"),
        ("APPRAISER_TRIALS", "1", "APPRAISER_TRIALS: Input should be greater than or equal to 2"),
        ("APPRAISER_LEDGER_URL", "", "APPRAISER_LEDGER_URL is not set; this step needs it"),
    ],
)
def test_a_wrong_setting_is_named(
    name: str,
    value: str,
    said: str,
    effects: Effects,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("APPRAISER_SOURCE_ID", SOURCE)
    monkeypatch.setenv(name, value)
    assert protocol.main(effects.step("validate"), ["--run-id", "r1"]) == FAILED
    assert said in capsys.readouterr().out


def test_a_wrong_option_is_argparses_error(effects: Effects) -> None:
    with pytest.raises(SystemExit) as ending:
        protocol.main(effects.step("validate"), ["--run", "r1", "--nonsense"])
    assert ending.value.code == 2


def test_nothing_to_do_and_surprises_have_their_codes(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    claimed(engine, "r1")

    def give_up(_: Job) -> Result:
        raise NothingToDo("the source is at its end")

    def fall(_: Job) -> Result:
        raise ZeroDivisionError("a surprise")

    assert protocol.main(Step("validate", give_up, lambda *_: None), ["--run-id", "r1"]) == NOTHING_TO_DO
    assert "NothingToDo: the source is at its end" in capsys.readouterr().out
    assert protocol.main(Step("validate", fall, lambda *_: None), ["--run-id", "r1"]) == RETRY
    out = capsys.readouterr().out
    assert "Traceback" in out
    assert out.rstrip().splitlines()[-3].endswith("ZeroDivisionError: a surprise")

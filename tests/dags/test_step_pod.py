"""What becomes of a task, for every way its pod or its own process can end: real Airflow, real operators, real pods."""

from collections.abc import Iterator
from signal import SIGKILL, SIGTERM
from typing import Any

import httpx
import psutil
import pytest

from local.airflow import NAMESPACE
from local.airflow_client import AirflowRefused
from local.postgres import Server
from tests.dags.cluster import Scenario, started, wait_until

# What the program does: state of its task, state of the task behind it, tries, of which each is a start and a pod.
OUTCOMES = {
    "leave:0": ("success", "success", 1),
    "leave:99": ("skipped", "skipped", 1),
    "leave:75": ("failed", "upstream_failed", 1),
    "leave:100": ("failed", "upstream_failed", 1),
    "leave:1": ("failed", "upstream_failed", 3),
    "once:1": ("success", "success", 2),
}
# A deferred step is judged by the same code, once it is back.
KINDS = {
    "plain": list(OUTCOMES),
    "deferred": ["leave:0", "leave:99", "leave:100", "once:1"],
    "patient": ["leave:99", "leave:100"],
}
CASES = [(kind, what) for kind, whats in KINDS.items() for what in whats]
FINAL = {"leave:75": "a later attempt has taken over", "leave:100": "it failed for good"}


@pytest.fixture(scope="module")
def scenarios(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Scenario]]:
    """Return the DAGs of an Airflow of this module's own."""
    with started(tmp_path_factory.mktemp("cluster"), server) as scenarios:
        yield scenarios


@pytest.fixture(scope="module")
def runs(scenarios: dict[str, Scenario]) -> dict[tuple[str, str], str]:
    """Return the runs whose pods need nobody, all started at once and ended."""
    runs = {(kind, what): scenarios[kind].start(what) for kind, what in CASES}
    for (kind, _), run in runs.items():
        scenarios[kind].await_run(run)
    return runs


@pytest.fixture
def plain(scenarios: dict[str, Scenario]) -> Scenario:
    """Return the DAG whose first task waits for its pod itself."""
    return scenarios["plain"]


@pytest.mark.parametrize(("kind", "what"), CASES)
def test_the_exit_code_decides(
    kind: str, what: str, scenarios: dict[str, Scenario], runs: dict[tuple[str, str], str]
) -> None:
    scenario, run = scenarios[kind], runs[kind, what]
    state, behind, tries = OUTCOMES[what]
    assert (scenario.task(run).state, scenario.task(run, scenario.behind).state) == (state, behind)
    # On a machine that is far too busy Airflow takes a task that was deferred for one that was killed, and tries again.
    if kind != "deferred":
        assert scenario.task(run).tries == scenario.starts(run) == len(scenario.pods(run)) == tries


@pytest.mark.parametrize(("kind", "what"), CASES)
def test_pods_are_kept_and_marked_as_seen(
    kind: str, what: str, scenarios: dict[str, Scenario], runs: dict[tuple[str, str], str]
) -> None:
    pods = scenarios[kind].pods(runs[kind, what])
    assert {pod.metadata.labels.get("already_checked") for pod in pods} == {"True"}


def test_a_run_with_nothing_to_do_is_green_and_one_that_failed_for_good_is_red(
    plain: Scenario, runs: dict[tuple[str, str], str]
) -> None:
    assert plain.airflow.state(runs["plain", "leave:99"]) == "success"
    assert plain.airflow.state(runs["plain", "leave:100"]) == "failed"


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_of_a_step_without_work_ends_with_its_own_words(
    kind: str, scenarios: dict[str, Scenario], runs: dict[tuple[str, str], str]
) -> None:
    log = scenarios[kind].last_log(runs[kind, "leave:99"])
    assert f"{scenarios[kind].step} was told leave:99" in log
    assert "these are the last words" in log
    assert "Task failed" not in log
    # The provider's own error lines, which would stand between the step's words and the skip.
    assert "Trigger emitted" not in log
    assert "TERMINATED" not in log


@pytest.mark.parametrize(("kind", "what"), [case for case in CASES if case[1] in FINAL])
def test_the_log_of_a_final_failure_says_that_it_is_one(
    kind: str, what: str, scenarios: dict[str, Scenario], runs: dict[tuple[str, str], str]
) -> None:
    code = what.removeprefix("leave:")
    sentence = f"step {scenarios[kind].step} ended with exit code {code} (Error), {FINAL[what]}: no retry"
    assert sentence in scenarios[kind].last_log(runs[kind, what])


def test_only_a_step_that_runs_long_is_deferred(
    scenarios: dict[str, Scenario], runs: dict[tuple[str, str], str]
) -> None:
    assert "Pausing task as DEFERRED" in scenarios["deferred"].last_log(runs["deferred", "leave:0"])
    assert "Pausing task as DEFERRED" not in scenarios["patient"].last_log(runs["patient", "leave:99"])


def test_a_step_goes_on_in_its_pod_when_its_task_is_killed(plain: Scenario) -> None:
    run = plain.start_waiting()
    plain.signal(run, SIGKILL)
    wait_until(lambda: "Reusing existing pod" in plain.last_log(run), "the second try has found the pod")
    plain.tell(run, 0)
    assert plain.await_task(run).state == "success"
    assert (plain.task(run).tries, plain.starts(run), len(plain.pods(run))) == (2, 1, 1)


@pytest.mark.parametrize(("code", "state"), [(0, "success"), (99, "skipped"), (100, "failed")])
def test_the_answer_of_a_pod_that_outlived_its_task_is_taken(code: int, state: str, plain: Scenario) -> None:
    run = plain.start_waiting()
    plain.signal(run, SIGKILL)
    plain.tell(run, code)
    assert plain.await_task(run).state == state
    assert (plain.task(run).tries, plain.starts(run), len(plain.pods(run))) == (2, 1, 1)


def test_a_failure_nobody_saw_does_not_use_up_the_next_try(plain: Scenario) -> None:
    run = plain.start_waiting()
    plain.signal(run, SIGKILL)
    plain.tell(run, 1)
    plain.await_starts(run, 2)
    plain.tell(run, 0)
    assert plain.await_task(run).state == "success"
    assert (plain.task(run).tries, plain.starts(run)) == (2, 2)


def test_a_task_told_to_stop_takes_its_pod_along_and_is_tried_again(plain: Scenario) -> None:
    run = plain.start_waiting()
    plain.signal(run, SIGTERM)
    plain.await_starts(run, 2)
    plain.tell(run, 0)
    assert plain.await_task(run).state == "success"
    assert (plain.task(run).tries, len(plain.pods(run))) == (2, 1)
    assert "the task of step fetch was told to stop" in plain.airflow.log(run, "fetch", 1)


@pytest.mark.parametrize("code", [0, 1, 99])
def test_a_task_told_to_stop_is_not_green_however_its_pod_ends(code: int, scenarios: dict[str, Scenario]) -> None:
    kept = scenarios["kept"]
    run = kept.start_waiting()
    kept.signal(run, SIGTERM)
    kept.tell(run, code)
    kept.await_try(run, 2)
    assert "the task of step clean was told to stop" in kept.airflow.log(run, "clean", 1)
    kept.tell(run, 0)
    kept.await_task(run)


def test_a_task_told_to_stop_in_the_middle_of_a_line_of_its_log_stops(scenarios: dict[str, Scenario]) -> None:
    # The provider writes a line of its own in the handler of the signal, and a line of the pod's held the lock for it.
    kept = scenarios["kept"]
    run = kept.start_waiting("shout")
    wait_until(lambda: "still here" in kept.last_log(run), "the task writes what its pod prints")
    kept.signal(run, SIGTERM)
    kept.tell(run, 0)
    kept.await_try(run, 2)
    kept.tell(run, 0)
    kept.await_task(run)


def test_a_task_told_to_stop_while_its_pod_is_made_leaves_none_behind(plain: Scenario) -> None:
    port = httpx.URL(plain.api.api_client.configuration.host).port
    [runner] = [one for one in psutil.Process().children(recursive=True) if (psutil.CONN_LISTEN, port) in ports_of(one)]
    runner.suspend()
    try:
        run = plain.start("wait")
        wait_until(lambda: waits_for(plain.task(run).pid, port), "the task asks for its pod")
        plain.signal(run, SIGTERM)
    finally:
        runner.resume()
    plain.await_try(run, 2)
    plain.tell(run, 0)
    assert plain.await_task(run).state == "success"
    assert (plain.task(run).tries, len(plain.pods(run))) == (2, 1)
    assert "the task of step fetch was told to stop" in plain.airflow.log(run, "fetch", 1)


def waits_for(pid: int | None, port: int | None) -> bool:
    return pid is not None and psutil.CONN_ESTABLISHED in {
        at.status for at in connections_of(psutil.Process(pid)) if at.raddr and at.raddr.port == port
    }


def ports_of(process: psutil.Process) -> set[tuple[str, int]]:
    return {(at.status, at.laddr.port) for at in connections_of(process)}


def test_a_deferred_task_whose_pod_is_deleted_is_tried_again(scenarios: dict[str, Scenario]) -> None:
    deferred = scenarios["deferred"]
    run = deferred.start_waiting()
    wait_until(lambda: deferred.task(run).state == "deferred", "the task is deferred")
    [pod] = deferred.pods(run)
    deferred.api.delete_namespaced_pod(pod.metadata.name, NAMESPACE)
    deferred.await_starts(run, 2)
    deferred.tell(run, 0)
    assert deferred.await_task(run).state == "success"


@pytest.mark.parametrize(("what", "state"), [("leave:0", "success"), ("leave:100", "failed")])
def test_a_cleared_task_runs_again_in_a_pod_of_its_own(what: str, state: str, plain: Scenario) -> None:
    run = plain.start(what)
    plain.await_run(run)
    assert "fetch" in plain.airflow.clear(run)
    plain.await_starts(run, 2)
    plain.await_run(run)
    assert (plain.task(run).state, plain.starts(run), len(plain.pods(run))) == (state, 2, 2)


def test_airflow_and_all_beside_it_listen_on_loopback_only(plain: Scenario) -> None:
    # By descent: Airflow's processes write their titles over the environment they could be known by.
    ours = psutil.Process().children(recursive=True)
    listening = [at.laddr for process in ours for at in connections_of(process) if at.status == psutil.CONN_LISTEN]
    assert {at.ip for at in listening} == {"127.0.0.1"}
    assert httpx.URL(plain.airflow.url).port in {at.port for at in listening}


def connections_of(process: psutil.Process) -> list[Any]:
    try:
        return list(process.net_connections("inet"))
    except psutil.Error:
        return []


def test_parameters_out_of_bounds_are_refused_with_the_reason(plain: Scenario) -> None:
    with pytest.raises(AirflowRefused, match="is not of type 'string'"):
        plain.airflow.trigger(do=7)

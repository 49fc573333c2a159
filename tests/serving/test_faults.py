"""The service as a process among failing ones: what it promised survives kills, outages, full disks and swaps."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from steps.common import bundle, registry
from tests.servers import free_loopback_port, fresh_databases
from tests.serving.callers import BODIES, CALLERS, Load, load
from tests.serving.own_postgres import OwnPostgres, own
from tests.serving.running import Service, body, environment, register, running, stored
from tests.steps.common.listings import house
from tests.steps.deployment import Deployment, change_a_byte

__all__ = ["own"]


def variables(deployment: Deployment, state: Path | None = None, **changes: str) -> dict[str, str]:
    return environment(deployment.databases, deployment.mlflow.url, state or deployment.folder / "state", **changes)


def all_arrived(service: Service, deployment: Deployment, made: Load) -> list[dict[str, Any]]:
    """Wait until every answered prediction is in RAW, and return all that is there; each is there once by its key."""
    wanted = {one["inference_id"] for one in made.answered}
    rows: list[dict[str, Any]] = []

    def there() -> bool:
        rows[:] = stored(deployment.databases)
        return wanted <= {str(row["inference_id"]) for row in rows}

    service.wait_until(there)
    return rows


def serves(service: Service, version: int) -> bool:
    return service.version() == version


def test_a_new_champion_is_served_within_a_poll_without_a_failed_or_mixed_request(deployment: Deployment) -> None:
    one, first = register(deployment, "run 0", 0, 20)
    two, second = register(deployment, "run 1", 1, 25)
    three, _ = register(deployment, "run 2", 2, 30)
    change_a_byte(deployment.stored(three, f"{bundle.FOLDER}/model.ubj"))
    deployment.set_alias(one)
    with running(variables(deployment), deployment.folder) as service:
        service.wait_until(lambda: service.version() == one)
        with load(service) as made:
            made.wait_for(50)
            for version in (two, one, two):
                deployment.set_alias(version)
                service.wait_until(partial(serves, service, version))
                made.wait_for(50)
            deployment.set_alias(three)
            service.wait_until(lambda: "champion_refused" in service.log.read_text())
            made.wait_for(50)
    assert (made.refused, made.cut_off) == (Counter(), 0)
    models = {one: first, two: second}
    listings = [house(**sent) for sent in BODIES]
    prices = {
        version: dict(zip(map(str, BODIES), model.prices(listings).tolist(), strict=True))
        for version, model in models.items()
    }
    for answer in made.answered:
        assert answer["header"] == str(answer["model_version"])
        assert answer["price"] == prices[answer["model_version"]][str(answer["sent"])]
    assert [answer["model_version"] for answer in made.answered][-1] == two
    assert {answer["model_version"] for answer in made.answered} == {one, two}


def test_kill_9_under_load_loses_and_doubles_nothing(deployment: Deployment) -> None:
    version, _ = register(deployment, "run 0")
    deployment.set_alias(version)
    with running(variables(deployment), deployment.folder) as service:
        service.wait_until(lambda: service.version() == version)
        with load(service) as made:
            for _ in range(3):
                made.wait_for(100)
                service.kill()
                service.start()
            made.wait_for(20)
        rows = all_arrived(service, deployment, made)
    keys = Counter(str(row["inference_id"]) for row in rows)
    assert set(keys.values()) == {1}
    by_key = {str(row["inference_id"]): row for row in rows}
    for answer in made.answered:
        assert by_key[answer["inference_id"]]["price"] == answer["price"]
        assert by_key[answer["inference_id"]]["request_id"] == answer["request_id"]
    # What was stored and not answered any more: at most what was under way at each kill.
    assert len(rows) - len(made.answered) <= 3 * CALLERS
    assert made.refused == Counter()


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.faults)])
def test_postgresql_stopped_under_load_costs_nothing(deployment: Deployment, own: OwnPostgres, seconds: int) -> None:
    version, _ = register(deployment, "run 0")
    deployment.set_alias(version)
    databases = fresh_databases(own.server)
    changes = {"APPRAISER_RAW_URL": databases.url("raw", "serving")}
    with running(variables(deployment, None, **changes), deployment.folder) as service:
        service.wait_until(lambda: service.version() == version)
        with load(service) as made:
            made.wait_for(50)
            own.stop()
            time.sleep(seconds)
            made.wait_for(50)
            own.start()
            made.wait_for(50)
        assert (made.refused, made.cut_off) == (Counter(), 0)
        elsewhere = Deployment(databases, deployment.mlflow, deployment.folder)
        rows = all_arrived(service, elsewhere, made)
        assert len(rows) == len(made.answered)
    assert "predictions_wait" in service.log.read_text()


def test_with_nobody_there_at_the_start_the_copy_on_disk_serves(deployment: Deployment) -> None:
    version, model = register(deployment, "run 0")
    deployment.set_alias(version)
    with running(variables(deployment), deployment.folder) as service:
        service.wait_until(lambda: service.version() == version)
    nowhere = f"127.0.0.1:{free_loopback_port()}"
    away = {
        "APPRAISER_MLFLOW_URL": f"http://{nowhere}",
        "APPRAISER_LEDGER_URL": f"postgresql+psycopg://serving:x@{nowhere}/ledger",
        "APPRAISER_RAW_URL": f"postgresql+psycopg://serving:x@{nowhere}/raw",
    }
    with running(variables(deployment, None, **away), deployment.folder) as service:
        answer = service.post("/predict", body())
        assert answer.json()["price"] == float(model.prices([house()])[0])
        info = service.get("/model-info").json()
        assert info["loaded_from"] == "disk"
        assert info["alias"]["outcome"] == "unreachable"
        assert "APPRAISER_MLFLOW_URL" in info["alias"]["trouble"]
        for path in ("/models", "/models/1", "/batches", "/batches/0", "/alerts"):
            down = service.get(path)
            assert (down.status_code, down.json()["type"]) == (503, "urn:appraiser:problem:ledger-down")
        assert "ledger_up 0.0" in service.get("/metrics").text
    # What was promised then is kept once somebody is there.
    with running(variables(deployment), deployment.folder) as service:
        service.wait_until(lambda: len(stored(deployment.databases)) == 1)
        assert str(stored(deployment.databases)[0]["inference_id"]) == answer.json()["inference_id"]


def test_without_a_model_prices_are_a_problem_with_a_sentence(deployment: Deployment) -> None:
    with running(variables(deployment), deployment.folder) as service:
        for path, sent in (("/predict", body()), ("/explain", body()), ("/predict-batch", {"listings": [body()]})):
            answer = service.post(path, sent)
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:appraiser:problem:no-model")
            assert answer.json()["detail"] == f"no version of {registry.MODEL} is in production yet"
            assert answer.headers["X-Model-Version"] == "none"
        assert service.get("/model-info").status_code == 503
        ready = service.get("/ready")
        assert (ready.status_code, ready.json()["model_version"]) == (200, None)
        assert stored(deployment.databases) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that is a disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0777", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a disk that can be filled takes the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_gives_no_price_that_is_not_stored(deployment: Deployment, small_disk: Path) -> None:
    version, _ = register(deployment, "run 0")
    deployment.set_alias(version)
    # PostgreSQL is away, so nothing is ever shipped and the disk fills.
    away = f"postgresql+psycopg://serving:x@127.0.0.1:{free_loopback_port()}/raw"
    answered: list[dict[str, Any]] = []
    with running(variables(deployment, small_disk, APPRAISER_RAW_URL=away), deployment.folder) as service:
        service.wait_until(lambda: service.version() == version)
        batch = {"listings": BODIES[:100]}
        for _ in range(200):
            answer = service.post("/predict-batch", batch)
            if answer.status_code != 200:
                break
            answered += answer.json()["results"]
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:appraiser:problem:log-full")
        assert "No space left" in answer.json()["detail"]
        assert service.get("/health").status_code == 200
    with running(variables(deployment, small_disk), deployment.folder) as service:
        wanted = {row["inference_id"] for row in answered}
        service.wait_until(lambda: wanted <= {str(row["inference_id"]) for row in stored(deployment.databases)})
        assert {str(row["inference_id"]) for row in stored(deployment.databases)} == wanted
        assert service.post("/predict-batch", batch).status_code == 200


def test_any_user_runs_it_with_everything_read_only_but_its_state(deployment: Deployment) -> None:
    version, _ = register(deployment, "run 0")
    deployment.set_alias(version)
    state = deployment.folder / "state"
    state.mkdir()
    state.chmod(0o777)
    launcher = nobody(state, deployment.folder / "python")
    if subprocess.run([*launcher, "true"], check=False, capture_output=True).returncode:
        pytest.skip("to be somebody else on a read-only system takes root and mount namespaces")
    with running(variables(deployment, state), deployment.folder, launcher=launcher) as service:
        service.wait_until(lambda: service.version() == version)
        assert service.post("/predict", body()).status_code == 200
        service.wait_until(lambda: len(stored(deployment.databases)) == 1)
        assert {path.stat().st_uid for path in state.rglob("*")} == {23456}


def nobody(state: Path, aside: Path) -> tuple[str, ...]:
    """Return what runs a command as a user nobody knows, on a system where only a state folder can be written.

    Where the interpreter lies below a folder that is closed to others, a mount opens the way to it alone.
    """
    home = Path(sys.base_prefix)
    closed = next((str(path) for path in reversed(home.parents) if not path.stat().st_mode & 0o001), "")
    aside.mkdir()
    for folder in (state, *state.parents):
        if folder.is_relative_to(tempfile.gettempdir()):
            folder.chmod(folder.stat().st_mode | 0o011)
    script = f"""
        set -e
        mount --make-rprivate /
        mount --bind '{state}' '{state}'
        if [ -n '{closed}' ]; then
            mount --bind '{home}' '{aside}'
            mount -t tmpfs -o mode=755 tmpfs '{closed}'
            mkdir -p '{home}'
            mount --bind '{aside}' '{home}'
        fi
        mount -o remount,bind,ro /
        exec setpriv --reuid=23456 --regid=34567 --clear-groups --no-new-privs "$@"
    """
    return ("unshare", "--mount", "sh", "-c", script, "sh")

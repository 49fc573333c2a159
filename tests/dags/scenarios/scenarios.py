"""DAGs for the tests, of two steps each: the first does as the run is told, the second stands behind it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Param

from dags.step_pod import StepPod

QUICKLY: dict[str, Any] = {"minutes": 5, "retries": 2, "retry_delay": timedelta(seconds=1)}

KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "plain": ("fetch", "validate", {}),
    # Deferred at once, and not woken before the scheduler has noticed.
    "deferred": ("tune", "train", {"deferrable": True, "patience": 0, "poll_interval": 10}),
    # Deferrable, but ended before it comes to that.
    "patient": ("evaluate", "promote", {"deferrable": True, "patience": 60}),
    # Its pod stays when its process is told to stop, as a pod does on a cluster for as long as it takes to end.
    "kept": ("clean", "validate", {"on_kill_action": "keep_pod"}),
}

for kind, (first, second, policy) in KINDS.items():
    with DAG(
        dag_id=kind,
        schedule=None,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        max_active_runs=100,
        max_active_tasks=100,
        is_paused_upon_creation=False,
        params={"do": Param("leave:0", type="string")},
    ):
        StepPod(step=first, options=["{{ params.do }}"], **QUICKLY, **policy) >> StepPod(
            step=second, options=["leave:0"], **QUICKLY
        )

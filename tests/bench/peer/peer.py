"""The same seven pods in a chain, by the operator as it comes: what StepPod and our settings are measured against."""

import os
from datetime import UTC, datetime

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.secret import Secret
from airflow.sdk import DAG, chain

from dags.step_spec import DATABASES, image_of

with DAG("peer", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), is_paused_upon_creation=False):
    chain(
        *[
            KubernetesPodOperator(
                task_id=step,
                name=f"appraiser-{step}",
                image=image_of(step),
                cmds=["python", "-m", f"steps.{step}"],
                arguments=["--run-id", "{{ run_id }}"],
                namespace="appraiser",
                config_file=os.environ["APPRAISER_KUBECONFIG"],
                in_cluster=False,
                configmaps=["appraiser"],
                secrets=[
                    Secret("env", f"APPRAISER_{database.upper()}_URL", "appraiser-databases", f"{database}-url")
                    for database in databases
                ],
                on_finish_action="keep_pod",
            )
            for step, databases in DATABASES.items()
        ]
    )

"""StepPod: how every step of the pipeline runs on Kubernetes. The one operator of this project.

Settings, read where Airflow parses the DAG (they are Airflow's, no pod sees them):
APPRAISER_IMAGES              file with the image of each step (default: images.yaml beside this file)
APPRAISER_IMAGES_ALLOW_TAGS   "true" where an image may be named by a tag, on one machine
APPRAISER_NAMESPACE           namespace of the pods (default: appraiser)
APPRAISER_SERVICE_ACCOUNT     service account of the pods (default: appraiser-step)
APPRAISER_KUBECONFIG          kubeconfig to reach the cluster with (default: Airflow runs inside it)
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.secret import Secret
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from kubernetes.client import models as k8s
from kubernetes.client.exceptions import ApiException

NOTHING_TO_DO: Final = 99
FINAL_EXIT_CODES: Final = {75: "a later attempt has taken over", 100: "it failed for good"}

# What a step may reach, and so the only secrets its pod is given.
DATABASES: Final = {
    "fetch": ("raw", "ledger"),
    "validate": ("raw", "clean", "ledger"),
    "clean": ("raw", "clean", "ledger"),
    "tune": ("clean", "ledger", "optuna"),
    "train": ("clean", "ledger", "optuna"),
    "evaluate": ("clean", "ledger"),
    "promote": ("ledger",),
}

# (requested CPUs, CPU limit, memory, space in /tmp). Memory is limited to what is requested: a pod that is promised
# less than it may use is the first to be killed when the node runs short, in the middle of a fit.
Size = Literal["small", "medium", "large"]
SIZES: Final[dict[Size, tuple[str, str, str, str]]] = {
    "small": ("250m", "1", "512Mi", "256Mi"),
    "medium": ("500m", "1", "2Gi", "1Gi"),
    "large": ("1", "2", "4Gi", "2Gi"),
}

# A pod may wait this long for a node, and again as long for its image, before its own clock starts.
STARTUP: Final = timedelta(minutes=2)
WATCH_SECONDS: Final = 0.5


class StepRefused(ValueError):
    """The DAG names a step or an image that must not run; Airflow shows the sentence as the DAG's import error."""


class StepStopped(AirflowException):  # type: ignore[misc]  # as StepPod below
    """The task's process was told to stop, so nobody has seen how the step ended."""


class StepPod(KubernetesPodOperator):  # type: ignore[misc]  # mypy does not follow imports into Airflow: a base of type Any
    """Runs `python -m steps.<step> --run-id <run id> *options` in a pod; its signature is the policy for every step.

    `minutes` bounds the step's own running time; the pod ends itself by then and the task a little later.
    Raises StepRefused, while the DAG is parsed, for an unknown step or an image that is not named by its digest.
    """

    pod: Any

    def __init__(
        self,
        *,
        step: str,
        options: Sequence[str] = (),
        size: Size = "small",
        minutes: int = 30,
        # The ledger carries what travels between steps: an XCom sidecar would be a second container in every pod.
        do_xcom_push: bool = False,
        skip_on_exit_code: int = NOTHING_TO_DO,
        # At least 2: an attempt that finds its connection to the cluster or its own process lost spends one.
        retries: int = 3,
        retry_delay: timedelta = timedelta(seconds=10),
        # The provider's 5 s costs a pod that starts in one second four.
        startup_check_interval_seconds: int = 1,
        # Reattach to a pod that still runs when its task's process has died, instead of starting a second one.
        # It is the provider's default, and the one we could least do without.
        durable: bool = True,
        # Pods are kept once they have ended, so that `kubectl logs` answers. The provider's keep_pod would also keep
        # one that still runs or waits when the task gives up, and the next attempt would start beside it.
        on_finish_action: str = "delete_active_pod",
        # The pod's whole specification in the log, twice, buries the step's last lines.
        log_pod_spec_on_failure: bool = False,
        log_events_on_failure: bool = True,
        # Every poll reads all events of the namespace; those of a pod that failed are logged anyway.
        log_events_on_startup: bool = False,
        deferrable: bool = False,
        # A deferrable step gives its place away only when it has run for so many seconds. To hand over and come back
        # costs three; and a task that comes back before the scheduler has noticed that it went is taken for killed.
        patience: float = 15,
        **kwargs: Any,
    ) -> None:
        if step not in DATABASES:
            raise StepRefused(f"there is no step {step!r}; the steps are {', '.join(DATABASES)}")
        config_file = os.environ.get("APPRAISER_KUBECONFIG")
        cpu, cpu_limit, memory, space = SIZES[size]
        super().__init__(
            task_id=step,
            name=f"appraiser-{step}",
            image=image_of(step),
            cmds=["python", "-m", f"steps.{step}"],
            arguments=["--run-id", "{{ run_id }}", *options],
            namespace=os.environ.get("APPRAISER_NAMESPACE", "appraiser"),
            config_file=config_file,
            in_cluster=config_file is None,
            labels={"app": "appraiser", "step": step},
            configmaps=["appraiser"],
            secrets=[
                Secret("env", f"APPRAISER_{database.upper()}_URL", "appraiser-databases", f"{database}-url")
                for database in DATABASES[step]
            ],
            service_account_name=os.environ.get("APPRAISER_SERVICE_ACCOUNT", "appraiser-step"),
            automount_service_account_token=False,
            security_context=k8s.V1PodSecurityContext(
                run_as_non_root=True, seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault")
            ),
            container_security_context=k8s.V1SecurityContext(
                allow_privilege_escalation=False,
                read_only_root_filesystem=True,
                capabilities=k8s.V1Capabilities(drop=["ALL"]),
            ),
            container_resources=k8s.V1ResourceRequirements(
                requests={"cpu": cpu, "memory": memory, "ephemeral-storage": space},
                limits={"cpu": cpu_limit, "memory": memory, "ephemeral-storage": space},
            ),
            volumes=[k8s.V1Volume(name="tmp", empty_dir=k8s.V1EmptyDirVolumeSource(size_limit=space))],
            volume_mounts=[k8s.V1VolumeMount(name="tmp", mount_path="/tmp")],  # noqa: S108 - the pod's own
            active_deadline_seconds=minutes * 60,
            startup_timeout_seconds=int(STARTUP.total_seconds()),
            # Later than the pod can end by itself: a task that gives up first would leave the pod to be deleted, and
            # its log with it.
            execution_timeout=timedelta(minutes=minutes) + 3 * STARTUP,
            do_xcom_push=do_xcom_push,
            skip_on_exit_code=skip_on_exit_code,
            retries=retries,
            retry_delay=retry_delay,
            startup_check_interval_seconds=startup_check_interval_seconds,
            durable=durable,
            on_finish_action=on_finish_action,
            log_pod_spec_on_failure=log_pod_spec_on_failure,
            log_events_on_failure=log_events_on_failure,
            log_events_on_startup=log_events_on_startup,
            container_name_log_prefix_enabled=False,
            deferrable=deferrable,
            # Seconds; left out, the page shows nothing of a deferred step's log before its end.
            logging_interval=30,
            **kwargs,
        )
        self.patience = patience

    def execute(self, context: Any) -> None:
        """Run the pod to its end, or hand it to the triggerer; raise StepStopped where the process was told to stop."""
        try:
            super().execute(context)
        except (Exception, TaskDeferred) as error:
            self._raise_if_stopped(error)
            raise
        self._raise_if_stopped()

    def invoke_defer_method(self, last_log_time: Any = None, context: Any = None) -> None:
        """Watch the pod for a while; hand it to the triggerer (raise TaskDeferred) if it has not ended by then."""
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline and not has_ended(self.pod):
            time.sleep(WATCH_SECONDS)
            self.pod = self.hook.get_pod(self.pod.metadata.name, self.pod.metadata.namespace)
        super().invoke_defer_method(last_log_time, context)

    def trigger_reentry(self, context: Any, event: dict[str, Any]) -> None:
        """Judge the pod the triggerer watched, by the pod itself.

        Raises as `cleanup` does, StepStopped, or AirflowException where the pod is gone.
        """
        if event["status"] == "failed":
            # All the triggerer knows is that the pod ended with another code than 0. Left at "failed" the provider
            # logs an error and raises before anybody looks at the code, also where that means "nothing to do".
            event = {**event, "status": "success"}
        try:
            super().trigger_reentry(context, event)
        except (Exception, TaskDeferred) as error:
            self._raise_if_stopped(error)
            raise
        self._raise_if_stopped()
        if self.pod is None:
            # The provider ends green here: a pod deleted by hand would be a step that was done.
            raise AirflowException(f"pod {event['name']} is gone, so nobody can say how the step ended; trying again")

    def get_or_create_pod(self, pod_request_obj: k8s.V1Pod, context: Any) -> k8s.V1Pod:
        """Return the pod of an earlier attempt that is running or has an answer, else a new one."""
        self._raise_if_stopped()
        pod = super().get_or_create_pod(pod_request_obj, context)
        if has_ended(pod) and exit_code_of(pod) not in {0, NOTHING_TO_DO, *FINAL_EXIT_CODES}:
            # With kept pods the provider adopts this one, whose task died before it could mark it as seen, and
            # reports its failure as the new attempt's.
            self.log.info("pod %s of an earlier attempt has failed; starting a new one", pod.metadata.name)
            self.patch_already_checked(pod)
            pod = super().get_or_create_pod(pod_request_obj, context)
        return pod

    def patch_already_checked(self, pod: k8s.V1Pod, *, reraise: bool = True) -> None:  # noqa: ARG002  the provider's name
        """Mark a pod as seen, so that no later attempt takes it for its own.

        Raises ApiException where the cluster refuses, whatever `reraise` says: the provider swallows a 403, and a
        cleared task then adopts the old pod and ends without having run.
        """
        try:
            super().patch_already_checked(pod, reraise=True)
        except ApiException as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return
            self.log.error("cannot label pod %s: the service account of Airflow must `patch pods`", pod.metadata.name)  # noqa: TRY400
            raise

    def cleanup(self, pod: k8s.V1Pod, remote_pod: k8s.V1Pod, *args: Any, **kwargs: Any) -> None:
        """Turn the pod's exit code into the task's end.

        Raises AirflowSkipException for 99, AirflowFailException for 75 and 100, AirflowException for any other but 0.
        """
        try:
            super().cleanup(pod, remote_pod, *args, **kwargs)
        except AirflowException as error:
            code = exit_code_of(remote_pod)
            if code in FINAL_EXIT_CODES:
                raise AirflowFailException(
                    f"step {self.task_id} ended with exit code {code}, {FINAL_EXIT_CODES[code]}: no retry; "
                    "the last lines of its log say why"
                ) from error
            raise

    def _raise_if_stopped(self, cause: BaseException | None = None) -> None:
        # on_kill deletes the pod and has cleanup look away, and the provider then returns as after a success.
        if self._killed:
            raise StepStopped(f"the task of step {self.task_id} was told to stop; its pod is deleted") from cause


def has_ended(pod: k8s.V1Pod) -> bool:
    """Tell whether a pod is in one of the phases it does not leave."""
    return bool(pod.status) and pod.status.phase in ("Succeeded", "Failed")


def exit_code_of(pod: k8s.V1Pod) -> int | None:
    """Return the exit code of a pod's one container, None while it runs or when it never did."""
    statuses = (pod.status and pod.status.container_statuses) or []
    ended = statuses[0].state.terminated if statuses and statuses[0].state else None
    return ended.exit_code if ended else None


def image_of(step: str) -> str:
    """Return the image of a step; raise StepRefused where the file has none, or one without a digest."""
    path = Path(os.environ.get("APPRAISER_IMAGES") or Path(__file__).with_name("images.yaml"))
    images = yaml.safe_load(path.read_text()) if path.is_file() else None
    if not isinstance(images, dict) or not isinstance(images.get(step), str):
        raise StepRefused(f"{path} (APPRAISER_IMAGES) names no image for step {step}")
    image: str = images[step]
    tags_allowed = os.environ.get("APPRAISER_IMAGES_ALLOW_TAGS", "false").lower() == "true"
    if not tags_allowed and not re.fullmatch(r"\S+@sha256:[0-9a-f]{64}", image):
        raise StepRefused(
            f"{path} names the image of step {step} as {image!r}, without a digest (name@sha256:…); "
            "only one machine may use tags, with APPRAISER_IMAGES_ALLOW_TAGS=true"
        )
    return image

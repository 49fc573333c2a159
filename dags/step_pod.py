"""StepPod: how every step of the pipeline runs on Kubernetes. The one operator of this project."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus
from threading import Thread
from typing import Any, Final

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferred,
)
from kubernetes.client import models as k8s
from kubernetes.client.exceptions import ApiException

from dags.step_spec import Size, pod_of

NOTHING_TO_DO: Final = 99
FINAL_EXIT_CODES: Final = {75: "a later attempt has taken over", 100: "it failed for good"}

# A pod may wait this long for a node, and again as long for its image, before its own clock starts.
STARTUP: Final = timedelta(minutes=2)
WATCH_SECONDS: Final = 0.5


class StepStopped(AirflowException):  # type: ignore[misc]  # as StepPod below
    """The task's process was told to stop, so nobody has seen how the step ended."""


class StepPod(KubernetesPodOperator):  # type: ignore[misc]  # mypy does not follow imports into Airflow: a base of type Any
    """Runs `python -m steps.<step> --run-id <run id> *options` in a pod; its signature is the policy for every step.

    An option that renders to nothing is not passed: the step's setting counts. `minutes` bounds the step's own running
    time: the pod ends itself by then, the task a little later. `patience` is in seconds. Raises StepRefused, while the
    DAG is parsed, for an unknown step or an image not named by its digest.
    """

    pod: Any
    arguments: list[str]
    _stopping: Thread | None = None
    _timed_out = False

    def __init__(
        self, *, step: str, options: Sequence[str] = (), size: Size = "small", minutes: int = 30,
        # An XCom sidecar would be a second container in every pod: what travels between steps is in the ledger.
        do_xcom_push: bool = False,
        skip_on_exit_code: int = NOTHING_TO_DO,
        # At least 2: an attempt that loses its own process, or its way to the cluster, spends one.
        retries: int = 3,
        retry_delay: timedelta = timedelta(seconds=10),
        # A pod that starts in one second costs five by default.
        startup_check_interval_seconds: int = 1,
        # When a task's process dies its pod goes on, and the next attempt finds it instead of starting a second one.
        durable: bool = True,
        # Pods are kept when they have ended, so that `kubectl logs` answers. keep_pod would also keep one that still
        # runs or waits when its task gives up, and the next attempt would start another beside it.
        on_finish_action: str = "delete_active_pod",
        # The whole specification of the pod, twice, buries the step's last words.
        log_pod_spec_on_failure: bool = False,
        # Every look reads all events of the namespace; those of a pod that did not start are logged anyway.
        log_events_on_startup: bool = False,
        deferrable: bool = False,
        # To hand a pod to the triggerer and take it back costs three seconds; and Airflow takes a task that is back
        # before the scheduler has noticed that it went for one that was killed. So only what runs long is handed over.
        patience: float = 15,
        # By default nothing of a deferred step's log is seen before its end.
        logging_interval: int = 30,
        **others: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            task_id=step, arguments=["--run-id", "{{ run_id }}", *options], container_name_log_prefix_enabled=False,
            do_xcom_push=do_xcom_push, skip_on_exit_code=skip_on_exit_code, retries=retries, retry_delay=retry_delay,
            startup_check_interval_seconds=startup_check_interval_seconds, durable=durable, deferrable=deferrable,
            on_finish_action=on_finish_action, log_pod_spec_on_failure=log_pod_spec_on_failure,
            log_events_on_failure=True, log_events_on_startup=log_events_on_startup,
            logging_interval=logging_interval, **_clocks(timedelta(minutes=minutes)), **pod_of(step, size), **others,
        )  # fmt: skip
        self.patience = patience

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """Render what is a template, and leave out the options that turn out empty."""
        super().render_template_fields(context, jinja_env)
        self.arguments = [argument for argument in self.arguments if argument]

    def execute(self, context: Any) -> None:
        """Run the pod to its end, or hand it to the triggerer; raise StepStopped where the process was told to stop."""
        with self._stoppable():
            super().execute(context)

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
        with self._stoppable():
            super().trigger_reentry(context, event)
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
        if self._killed:
            # While the pod was being made there was none to delete.
            self.pod = pod
            self.on_kill()
            self._raise_if_stopped()
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

    def cleanup(self, pod: k8s.V1Pod, remote_pod: k8s.V1Pod | None, *args: Any, **kwargs: Any) -> None:
        """Turn the pod's exit code into the task's end.

        Raises AirflowSkipException for 99, AirflowFailException for 75 and 100, AirflowException for any other but 0.
        """
        code = exit_code_of(remote_pod)
        if code is not None:
            # A program that ran has said itself why it ended. The provider would write an error line behind its last
            # words, also where they say that there is nothing to do.
            self.log_events_on_failure = False
        try:
            super().cleanup(pod, remote_pod, *args, **kwargs)
        except AirflowSkipException:
            raise
        except AirflowException as error:
            ended = f"step {self.task_id} ended with exit code {code} ({reason_of(remote_pod)})"
            if code in FINAL_EXIT_CODES:
                raise AirflowFailException(f"{ended}, {FINAL_EXIT_CODES[code]}: no retry; its log says why") from error
            raise AirflowException(f"{ended}; its log says why") from error

    def on_kill(self) -> None:
        """Have the pod deleted.

        In a thread, for Airflow calls this in the handler of a signal. A task stopped while it writes a line of its log
        holds the lock that the provider's own line waits for, and waited for itself until its time was over.
        """
        self._killed = True
        self._stopping = Thread(target=super().on_kill, name="stopping")
        self._stopping.start()
        if self._timed_out:
            self._stopping.join()

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        # Whatever else became of a task that was told to stop, it was stopped.
        try:
            yield
        except AirflowTaskTimeout:
            # Airflow calls on_kill once the task is out of here, and then leaves without waiting for threads.
            self._timed_out = True
            raise
        except (Exception, TaskDeferred) as error:
            self._raise_if_stopped(error)
            raise
        self._raise_if_stopped()

    def _raise_if_stopped(self, cause: BaseException | None = None) -> None:
        # on_kill deletes the pod and has cleanup look away, and the provider then returns as after a success.
        if self._killed:
            if self._stopping:
                self._stopping.join()
            raise StepStopped(f"the task of step {self.task_id} was told to stop; its pod is deleted") from cause


def _clocks(longest: timedelta) -> dict[str, Any]:
    return {
        "active_deadline_seconds": int(longest.total_seconds()),
        "startup_timeout_seconds": int(STARTUP.total_seconds()),
        # Later than the pod can end by itself: a task that gives up first deletes the pod, and its log with it.
        "execution_timeout": longest + 3 * STARTUP,
    }


def has_ended(pod: k8s.V1Pod) -> bool:
    """Tell whether a pod is in one of the phases it does not leave."""
    return bool(pod.status) and pod.status.phase in ("Succeeded", "Failed")


def exit_code_of(pod: k8s.V1Pod | None) -> int | None:
    """Return the exit code of a pod's one container, None while it runs or when it never did."""
    ended = end_of(pod)
    return ended.exit_code if ended else None


def reason_of(pod: k8s.V1Pod) -> str:
    """Return in a word why a pod ended: OOMKilled, DeadlineExceeded, Error, …; its phase where it has not."""
    ended = end_of(pod)
    return str(pod.status.reason or (ended and ended.reason) or pod.status.phase)


def end_of(pod: k8s.V1Pod | None) -> k8s.V1ContainerStateTerminated | None:
    """Return how a pod's one container ended, None while it runs or when it never did."""
    statuses = (pod and pod.status and pod.status.container_statuses) or []
    return statuses[0].state.terminated if statuses and statuses[0].state else None

"""The life of each pod, led as a kubelet does: wait for image and configuration, start, limit, end, report."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import structlog

from local import pod_status
from local.pod_environment import Command, Configuration, ContainerWaits, ProgramMissing, command_of, load_image
from local.pod_log import Log
from local.pod_process import Exit, Launcher, PodProcess, StartFailed
from local.pod_spec import NAMESPACE, NODE, Object, timestamp
from local.pod_store import Store

# A kubelet's own back-off begins at 10 s; whoever has just added the missing Secret by hand need not wait for that.
_RETRY_SECONDS = 1.0
_SHUTDOWN_GRACE_SECONDS = 4
_CANNOT_RUN = 128
_LOST = "The container could not be located when the pod was terminated"
_SHUTDOWN = ("Terminated", "Pod was terminated in response to imminent node shutdown.")
_DEADLINE = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")

_LOG: structlog.stdlib.BoundLogger = structlog.get_logger()


class Stopping(Exception):
    """No pod is started any more."""


@dataclass
class Life:
    """A pod that has not ended: its process once there is one, and why it is being ended from outside."""

    task: asyncio.Task[None]
    process: PodProcess | None = None
    ending: tuple[str, str] | None = None
    deadline: asyncio.TimerHandle | None = None
    kill: asyncio.TimerHandle | None = None

    def cancel_timers(self) -> None:
        """Leave nothing that would touch another pod of the same name."""
        for timer in (self.deadline, self.kill):
            if timer:
                timer.cancel()


class Kubelet:
    """Runs the pods of a store as processes."""

    def __init__(self, store: Store, images: Path, root: Path) -> None:
        self._store = store
        self._images = images
        self._configuration = Configuration(root)
        self._temporaries = root / "tmp"
        self._stopping = False
        self._launcher = Launcher()
        self._lives: dict[str, Life] = {}
        self._logs: dict[str, Log] = {}

    def adopt(self) -> None:
        """Take over the pods of an earlier runner: what ran has died with it, what waited goes on waiting."""
        shutil.rmtree(self._temporaries, ignore_errors=True)
        self._temporaries.mkdir(mode=0o700)
        for pod in self._store.objects("pods"):
            name, phase = pod["metadata"]["name"], pod["status"]["phase"]
            if "deletionTimestamp" in pod["metadata"]:
                self._store.remove_pod(name)
            elif phase == "Running":
                self._set_ended(name, pod_status.KILLED, "ContainerStatusUnknown", _LOST)
            elif phase == "Pending":
                used = datetime.now(UTC) - datetime.fromisoformat(pod["status"]["startTime"])
                self._begin(pod, used.total_seconds())

    def add(self, admitted: Object) -> Object:
        """Store an admitted pod, begin to start it, and return it as stored; raise Stopping where it is too late."""
        if self._stopping:
            raise Stopping("the pod runner is being stopped")
        pod = self._store.add_pod(admitted | {"status": pod_status.pending(admitted, datetime.now(UTC))})
        self._store.add_event(
            pod, "Scheduled", f"Successfully assigned {NAMESPACE}/{pod['metadata']['name']} to {NODE}"
        )
        self._begin(pod)
        return pod

    def delete(self, pod: Object, grace_seconds: int | None) -> Object:
        """Delete a pod, one that runs after it has ended; return it as it was last."""
        name = pod["metadata"]["name"]
        life = self._lives.get(name)
        if not life or not life.process:
            if life:
                self._forget(name)
                life.task.cancel()
            self._store.remove_pod(name)
            return pod
        grace: int = pod["spec"]["terminationGracePeriodSeconds"] if grace_seconds is None else grace_seconds
        if grace >= pod["metadata"].get("deletionGracePeriodSeconds", grace + 1):
            return pod  # It is being deleted, and will be gone sooner than that.
        gone = timestamp(datetime.now(UTC) + timedelta(seconds=grace))
        pod = self._store.change_pod(
            name, lambda pod: pod["metadata"].update(deletionTimestamp=gone, deletionGracePeriodSeconds=grace)
        )
        self._stop(pod, life.process, grace)
        return pod

    def log(self, name: str) -> Log:
        """Return the log of a pod's container."""
        return self._logs.get(name) or Log(self._log_path(name))

    async def shut_down(self) -> None:
        """End every pod as a node does that is shut down: SIGTERM, and SIGKILL after a short grace."""
        self._stopping = True
        lives = dict(self._lives)
        for name, life in lives.items():
            if life.process:
                life.ending = life.ending or _SHUTDOWN
                self._stop(self._pod(name), life.process, _SHUTDOWN_GRACE_SECONDS)
            else:
                life.task.cancel()
        await asyncio.gather(*(life.task for life in lives.values()), return_exceptions=True)
        self._launcher.close()

    def _begin(self, pod: Object, used_seconds: float = 0) -> None:
        name = pod["metadata"]["name"]
        life = self._lives[name] = Life(asyncio.create_task(self._live(pod), name=name))
        life.task.add_done_callback(partial(self._report_fault, name))
        if (seconds := pod["spec"].get("activeDeadlineSeconds")) is not None:
            life.deadline = asyncio.get_running_loop().call_later(seconds - used_seconds, self._exceed_deadline, name)

    async def _live(self, pod: Object) -> None:
        name = pod["metadata"]["name"]
        try:
            process = await self._start(pod, await self._command(pod))
        except (ProgramMissing, StartFailed) as failure:
            self._store.add_event(pod, "Failed", f"Error: {failure}", warning=True)
            self._set_ended(name, _CANNOT_RUN, "StartError", str(failure))
            self._forget(name)
            return
        end = await process.wait()
        await asyncio.to_thread(shutil.rmtree, self._temporary(pod), ignore_errors=True)
        self._finish(name, end)

    async def _command(self, pod: Object) -> Command:
        """Wait until image and configuration are there, and return what to start; raise ProgramMissing."""
        name, container = pod["metadata"]["name"], pod["spec"]["containers"][0]
        reported = ""
        while True:
            try:
                image = load_image(self._images, container["image"], container["imagePullPolicy"])
                command = command_of(pod, image, self._configuration, self._temporary(pod))
            except ContainerWaits as wait:
                reason, message = wait.reason, str(wait)
                if reason == "ErrImagePull" and reported:
                    reason = "ImagePullBackOff"
                    message = f'Back-off pulling image "{container["image"]}": ErrImagePull: {wait}'
                if message != reported:
                    self._store.add_event(pod, "Failed", f"Error: {message}", warning=True)
                    self._set_status(name, lambda pod: pod_status.pending(pod, datetime.now(UTC), reason, message))  # noqa: B023  called at once
                reported = message
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._store.add_event(
                    pod, "Pulled", f'Container image "{container["image"]}" already present on machine'
                )
                return command

    async def _start(self, pod: Object, command: Command) -> PodProcess:
        name = pod["metadata"]["name"]
        self._temporary(pod).mkdir(mode=0o700)
        log = self._logs[name] = Log(self._log_path(name), live=True)
        try:
            process = await self._launcher.launch(command, log)
        except BaseException:
            log.close()
            del self._logs[name]
            shutil.rmtree(self._temporary(pod), ignore_errors=True)
            raise
        self._lives[name].process = process
        moment = datetime.now(UTC)
        self._set_status(name, lambda pod: pod_status.running(pod, moment, f"process://{process.pid}"))
        container = pod["spec"]["containers"][0]["name"]
        self._store.add_event(pod, "Created", f"Created container: {container}")
        self._store.add_event(pod, "Started", f"Started container {container}")
        _LOG.info("pod_started", pod=name, pid=process.pid)
        return process

    def _finish(self, name: str, end: Exit) -> None:
        life = self._forget(name)
        log = self._logs.pop(name)
        container = self._pod(name)["spec"]["containers"][0]
        reason = "Error" if end.code else "Completed"
        message = ""
        if end.code and container["terminationMessagePolicy"] == "FallbackToLogsOnError":
            message = log.last_lines()
        if end.out_of_memory:
            reason = "OOMKilled"
        if not end.seen:
            reason, message = "ContainerStatusUnknown", _LOST
        self._set_ended(name, end.code, reason, message, life.ending)
        _LOG.info("pod_ended", pod=name, exit_code=end.code, reason=life.ending[0] if life.ending else reason)
        if "deletionTimestamp" in self._pod(name)["metadata"]:
            self._store.remove_pod(name)

    def _exceed_deadline(self, name: str) -> None:
        life, pod = self._lives[name], self._pod(name)
        self._store.add_event(pod, _DEADLINE[0], _DEADLINE[1], warning=True)
        if life.process:
            life.ending = _DEADLINE
            self._stop(pod, life.process, pod["spec"]["terminationGracePeriodSeconds"])
        else:
            self._forget(name)
            life.task.cancel()
            reason, message = _DEADLINE
            self._set_status(
                name, lambda pod: pod["status"] | {"phase": "Failed", "reason": reason, "message": message}
            )

    def _stop(self, pod: Object, process: PodProcess, grace: int) -> None:
        life = self._lives[pod["metadata"]["name"]]
        if life.kill is None:
            self._store.add_event(pod, "Killing", f"Stopping container {pod['spec']['containers'][0]['name']}")
        else:
            life.kill.cancel()
        if grace > 0:
            process.terminate()
        life.kill = asyncio.get_running_loop().call_later(grace, process.kill)

    def _forget(self, name: str) -> Life:
        life = self._lives.pop(name)
        life.cancel_timers()
        return life

    def _report_fault(self, name: str, task: asyncio.Task[None]) -> None:
        """Fail a pod whose life ended by a fault of this program, which would else wait for ever."""
        if task.cancelled() or (fault := task.exception()) is None:
            return
        _LOG.error("pod_runner_fault", pod=name, exc_info=fault)
        if name in self._lives and (process := self._forget(name).process):
            process.kill()
        if self._store.get("pods", name):
            self._set_ended(name, _CANNOT_RUN, "StartError", f"the pod runner failed: {fault!r}")

    def _set_ended(
        self, name: str, code: int, reason: str, message: str, ending: tuple[str, str] | None = None
    ) -> None:
        moment = datetime.now(UTC)
        self._set_status(name, lambda pod: pod_status.ended(pod, moment, code, reason, message, ending))

    def _set_status(self, name: str, status_of: Callable[[Object], Object]) -> None:
        self._store.change_pod(name, lambda pod: pod.update(status=status_of(pod)))

    def _pod(self, name: str) -> Object:
        pod = self._store.get("pods", name)
        if pod is None:
            raise KeyError(name)
        return pod

    def _temporary(self, pod: Object) -> Path:
        # Short: the path of a socket, which programs put below it, has room for 108 characters.
        uid: str = pod["metadata"]["uid"]
        return self._temporaries / uid[:8]

    def _log_path(self, name: str) -> Path:
        return self._store.folder(name) / "container.log"

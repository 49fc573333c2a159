"""The status of a pod as a kubelet reports it: phase, conditions and container state, computed from what happened."""

from __future__ import annotations

from datetime import datetime

from local.pod_spec import Object, quality_of_service, timestamp

TERMINAL = ("Succeeded", "Failed")
ADDRESS = "127.0.0.1"
KILLED = 137


def pending(pod: Object, moment: datetime, reason: str = "ContainerCreating", message: str | None = None) -> Object:
    """Return the status of a pod whose container waits for something."""
    waiting = {"reason": reason} | ({"message": message} if message else {})
    return _status(pod, moment, "Pending", {"waiting": waiting})


def running(pod: Object, moment: datetime, container_id: str) -> Object:
    """Return the status of a pod whose process has started."""
    state = {"running": {"startedAt": timestamp(moment)}}
    return _status(pod, moment, "Running", state, container_id=container_id)


def ended(
    pod: Object,
    moment: datetime,
    exit_code: int,
    reason: str,
    message: str = "",
    pod_reason: tuple[str, str] | None = None,
) -> Object:
    """Return the status of a pod whose container has ended, or could not be started.

    `pod_reason` is the reason and message of a pod that was ended from outside (DeadlineExceeded): it failed, whatever
    its exit code.
    """
    known = container_status(pod)
    started = known.get("state", {}).get("running", {}).get("startedAt")
    terminated: Object = {
        "exitCode": exit_code,
        "reason": reason,
        "startedAt": started,
        "finishedAt": timestamp(moment),
    }
    terminated |= {"message": message} if message else {}
    terminated |= {"containerID": known["containerID"]} if known.get("containerID") else {}
    phase = "Succeeded" if exit_code == 0 and pod_reason is None else "Failed"
    status = _status(pod, moment, phase, {"terminated": terminated}, container_id=known.get("containerID"))
    return status | ({"reason": pod_reason[0], "message": pod_reason[1]} if pod_reason else {})


def container_status(pod: Object) -> Object:
    """Return what is known of the pod's one container, nothing before the first status."""
    statuses: list[Object] = pod.get("status", {}).get("containerStatuses") or [{}]
    return statuses[0]


def _status(pod: Object, moment: datetime, phase: str, state: Object, container_id: str | None = None) -> Object:
    container = pod["spec"]["containers"][0]
    is_running = phase == "Running"
    known = pod.get("status", {})
    return {
        "phase": phase,
        "conditions": _conditions(pod, moment, phase),
        "hostIP": ADDRESS,
        "hostIPs": [{"ip": ADDRESS}],
        "podIP": ADDRESS,
        "podIPs": [{"ip": ADDRESS}],
        "startTime": known.get("startTime") or timestamp(moment),
        "qosClass": quality_of_service(pod["spec"]),
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": container["image"] if container_id else "",
                "state": state,
                "lastState": {},
                "ready": is_running,
                "started": is_running,
                "restartCount": 0,
            }
            | ({"containerID": container_id} if container_id else {})
        ],
    }


def _conditions(pod: Object, moment: datetime, phase: str) -> list[Object]:
    over = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase)
    not_ready = {} if phase == "Running" else {"reason": over or "ContainersNotReady"}
    ready = str(phase == "Running")
    wanted: dict[str, tuple[str, dict[str, str]]] = {
        "PodReadyToStartContainers": (ready, {}),
        "Initialized": ("True", {"reason": over} if over == "PodCompleted" else {}),
        "Ready": (ready, not_ready),
        "ContainersReady": (ready, not_ready),
        "PodScheduled": ("True", {}),
    }
    before = {known["type"]: known for known in pod.get("status", {}).get("conditions", [])}
    conditions = []
    for kind, (value, reason) in wanted.items():
        same = before.get(kind, {}).get("status") == value
        since = before[kind]["lastTransitionTime"] if same else timestamp(moment)
        conditions.append({"type": kind, "status": value, "lastProbeTime": None, "lastTransitionTime": since, **reason})
    return conditions

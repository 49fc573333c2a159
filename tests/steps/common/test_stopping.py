"""A step that is told to stop does, also as process 1 of a container."""

import os
import subprocess
import sys

import psutil

from steps.common.stopping import STOPPED
from tests.servers import ROOT

# A process namespace, as a container has: there a signal without a handler is not even noticed. Only root makes one.
CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child") if os.geteuid() == 0 else ()
WAITING = """
import sys, time
from steps.common import logs, step, stopping

def body():
    print("works", flush=True)
    time.sleep(60)
    return 0

logs.start("train")
with stopping.stoppable():
    sys.exit(step.guarded(body, "train"))
"""


def test_told_to_stop_it_ends_at_once_and_says_so() -> None:
    outside = subprocess.Popen(
        [*CONTAINER, sys.executable, "-c", WAITING],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert outside.stdout is not None
    assert outside.stdout.readline() == "works\n"
    program = psutil.Process(outside.pid)
    next(iter(program.children()), program).terminate()
    said, _ = outside.communicate(timeout=30)
    assert outside.returncode == STOPPED, said
    assert "stopped, will be tried again" in said

"""What `make run` prints, on a terminal and into a pipe."""

import io
import re

from local.history import History
from local.progress import Progress, main_reason


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return that it is."""
        return True


def test_a_line_has_the_time_since_the_start() -> None:
    stream = io.StringIO()
    Progress(stream).say("batch 0 · fetch")
    assert re.fullmatch(r" +0:0\d  batch 0 · fetch\n", stream.getvalue())


def test_into_a_pipe_goes_no_moving_line_and_no_control_character() -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    progress.status("batch 0 · tune works, 3 s")
    progress.ready("mlflow", 2.25)
    progress.show_addresses({"MLflow": "http://127.0.0.1:15000"})
    progress.show_table(History([], None))
    assert "tune works" not in stream.getvalue()
    assert "mlflow ready after 2.2 s" in stream.getvalue()
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", stream.getvalue())


def test_on_a_terminal_the_moving_line_is_replaced_by_what_stays() -> None:
    stream = Terminal()
    progress = Progress(stream)
    progress.status("batch 0 · tune works, 3 s")
    progress.say("batch 0 · tune done")
    moving, staying = stream.getvalue().split("\r\x1b[K")[1:][0], stream.getvalue().split("\r\x1b[K")[-1]
    assert moving.endswith("batch 0 · tune works, 3 s")
    assert staying.endswith("batch 0 · tune done\n")


def test_a_moving_line_never_wraps() -> None:
    stream = Terminal()
    Progress(stream).status("x" * 1000)
    assert len(stream.getvalue()) < 1000


def test_the_main_reason_is_the_first_in_short() -> None:
    first = {"code": "CHAMPION_WORSE_HERE", "sentence": "version 1 is wrong by a factor " + "and more " * 20}
    assert main_reason([first, {"code": "DRIFT", "sentence": "later"}]).startswith("CHAMPION_WORSE_HERE: version 1")
    assert len(main_reason([first])) == 60
    assert main_reason([{"code": "STALE"}]) == "STALE"
    assert main_reason([]) == ""

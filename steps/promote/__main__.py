"""Decides from the evidence whether the candidate is to be served, and moves the alias `Production` if so.

Ends with 0 for PROMOTE; with 99 for HOLD (cannot tell), REJECT (worse, or a guard failed) and STALE (the champion
changed since evaluate; the next run takes the batch up again). `--rollback --reason …` points the alias back at
`previous`, for which no run id is needed; `--to` names another version.

`--what-if FILE` decides the stored history again under another policy and prints both side by side; it needs no run
id either and writes nothing. The file is YAML (or JSON) with the sections `promote` and `validate`, each with the
thresholds that are to differ; all others stay as they were for each verdict. What the stored figures cannot tell is
printed as unknown.

Commit boundaries: intent, alias, previous, alias_event, completion.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from steps.common.step import Step, main
from steps.promote.act import perform, recheck, roll_back
from steps.promote.replaying import what_if

ERRANDS: Final = {"rollback": roll_back, "what_if": what_if}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a rollback, which is not done without a reason, and of another policy."""
    reason = parser.add_argument("--reason", help="why the alias is rolled back; stands in the ledger")

    class Rollback(argparse.Action):
        def __call__(
            self,
            parser: argparse.ArgumentParser,  # noqa: ARG002  # argparse's signature
            namespace: argparse.Namespace,
            values: str | Sequence[Any] | None,  # noqa: ARG002  # argparse's signature
            option_string: str | None = None,  # noqa: ARG002  # argparse's signature
        ) -> None:
            setattr(namespace, self.dest, True)
            reason.required = True

    parser.add_argument(
        "--rollback", action=Rollback, nargs=0, default=False, help="point the alias Production back at `previous`"
    )
    parser.add_argument("--to", type=int, metavar="VERSION", help="the version to roll back to, if not `previous`")
    parser.add_argument(
        "--what-if", type=Path, metavar="FILE", help="decide the stored history again under the policy in this file"
    )


if __name__ == "__main__":
    sys.exit(main(Step("promote", perform, recheck, arguments, ERRANDS), description=__doc__))

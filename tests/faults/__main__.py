"""The drift laboratory and the gate's honesty: `python -m tests.faults [--only NAME …]`, or `make lab`.

Prints one table of planted causes and what came out of each, and one of how often the gate promotes what is no better
and finds what is. Exit status 0 only if everything came out as planted and false promotions stay within their bound.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.faults import honesty
from tests.faults.findings import Finding, examine
from tests.faults.laboratory import laboratory
from tests.faults.scenarios import SCENARIOS, Scenario

# What the gate's confidence promises.
FALSE_PROMOTIONS: Final = 0.05
_GATE: Final = "gate"
_COLUMNS: Final = 180


def main() -> int:
    """Run the scenarios asked for and the gate, show both tables; return the exit status."""
    names = [*(scenario.name for scenario in SCENARIOS), _GATE]
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    only = parser.parse_args().only
    console = Console(width=None if sys.stdout.isatty() else _COLUMNS, highlight=False, markup=False, emoji=False)
    findings = list(_examined([scenario for scenario in SCENARIOS if scenario.name in only]))
    if findings:
        console.print(_findings_table(findings))
    rates = list(honesty.measure(honesty.ROUNDS)) if _GATE in only else []
    if rates:
        console.print(_rates_table(rates))
    return 0 if all(not finding.wrong for finding in findings) and all(map(_honest, rates)) else 1


def _examined(scenarios: Sequence[Scenario]) -> Iterator[Finding]:
    for weak in (False, True):
        chosen = [scenario for scenario in scenarios if scenario.weak_champion is weak]
        if not chosen:
            continue
        with laboratory(weak=weak) as made:
            for scenario in chosen:
                began = time.monotonic()
                finding = examine(made, scenario)
                state = "wrong" if finding.wrong else "right"
                sys.stdout.write(f"{scenario.name}: {state}, {time.monotonic() - began:.0f} s\n")
                sys.stdout.flush()
                yield finding


def _findings_table(findings: Sequence[Finding]) -> Table:
    table = Table(title="What was planted, and what came out", title_justify="left")
    for column in ("scenario", "planted", "found", "verdict", "right or wrong"):
        table.add_column(column)
    for one in findings:
        table.add_row(one.scenario, one.planted, one.found, one.verdict, "; ".join(one.wrong) or "right")
    return table


def _honest(rate: honesty.Rate) -> bool:
    """Tell whether the rate of promotions of what is no better may be within the bound, for all these rounds show."""
    return rate.better > 0 or rate.interval(rate.promoted)[0] <= FALSE_PROMOTIONS


def _rates_table(rates: Sequence[honesty.Rate]) -> Table:
    table = Table(title="How often the gate promotes", title_justify="left")
    for column in ("test rows", "truly better by", "rounds", "gate (95 %)", "lower RMSE wins", "smallest detectable"):
        table.add_column(column, justify="right")
    for one in rates:
        low, high = one.interval(one.promoted)
        table.add_row(
            f"{one.rows:,}", "retrained on a redraw" if not one.better else f"{one.better:.0%}", str(one.rounds),
            f"{one.promoted / one.rounds:.1%} ({low:.1%} to {high:.1%})", f"{one.literally / one.rounds:.1%}",
            f"{one.smallest_detectable:.1%} of RMSE",
        )  # fmt: skip
    return table


if __name__ == "__main__":
    sys.exit(main())

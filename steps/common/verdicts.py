"""When a batch is refused, worth a training or neither: each rule once, on stored figures and no more.

validate decides by them from the report it has measured; promote decides again from the report as the ledger gives it
back, under other thresholds. So a report is plain values here, as in JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from steps.common.thresholds import Thresholds

TRAIN: Final = "TRAIN"
SKIP: Final = "SKIP"
QUARANTINE: Final = "QUARANTINE"

# Faults that the report holds figures of; others stay where they were found.
_FAULTS_WITH_FIGURES: Final = frozenset({"TOO_MANY_REFUSED", "COLUMN_MALFORMED"})


@dataclass(frozen=True)
class Facts:
    """What a verdict rests on, each figure held against its threshold.

    The last four are of the version in production, and false where there is none or nothing of it was measured.
    """

    unusable: bool
    not_learnable: bool
    drifted: bool
    champion_unusable: bool
    champion_worse: bool
    dearer_or_cheaper: bool
    pays: bool

    @property
    def changed(self) -> bool:
        """Tell whether something changed that counts: new values, columns, what like houses cost."""
        return self.drifted or self.dearer_or_cheaper

    def verdict(self, *, champion: bool, forced: bool) -> str:
        """Return the verdict: `champion` is whether there is one, `forced` an operator's wish to train."""
        if self.unusable:
            return QUARANTINE
        if forced:
            return TRAIN
        if self.not_learnable:
            return SKIP
        worse = not champion or self.champion_unusable or self.champion_worse
        return TRAIN if worse or (self.changed and self.pays) else SKIP


def facts(report: Mapping[str, Any], policy: Thresholds) -> Facts:
    """Return what a report says under these thresholds."""
    learnable, champion = report["learnable"], report["champion"]
    return Facts(
        unusable=any(_faults(report, policy)),
        not_learnable=learnable is not None and not ranks(learnable["low"], policy),
        drifted=any(_drifted(report["drift"] or {}, policy)),
        champion_unusable=bool(report["champion_unusable"]),
        champion_worse=champion is not None and any(_worse(champion, policy)),
        dearer_or_cheaper=champion is not None
        and level_moved(champion["level"]["low"], champion["level"]["high"], policy),
        pays=_pays(report["retrain_value"], policy),
    )


def _faults(report: Mapping[str, Any], policy: Thresholds) -> Iterator[bool]:
    yield too_many_refused(refused_share(report["counts"]["refused"], report["counts"]["rows"]), policy)
    for column in report["columns"].values():
        yield malformed(column["malformed_share"], policy)
    for fault in report["faults"]:
        yield fault["code"] not in _FAULTS_WITH_FIGURES


def _drifted(drift: Mapping[str, Any], policy: Thresholds) -> Iterator[bool]:
    for one in drift.values():
        yield drifted(one["psi"], one["chance"], policy)
        for new in one["new_values"]:
            yield new_value_counts(new["share"], new["rows"], policy)


def _worse(champion: Mapping[str, Any], policy: Thresholds) -> Iterator[bool]:
    whole = champion["overall"]
    yield above(whole["low"], policy.champion_ratio)
    for one in champion["slices"]:
        yield one["by"] == "state" and above(one["low"], state_limit(whole["ratio"], policy))


def _pays(value: Mapping[str, Any] | None, policy: Thresholds) -> bool:
    if value is None or value["here"] is None:
        return False
    return gain_pays(value["batch_rows"], value["here"]["share"], value["here"]["low"], policy)


def refused_share(refused: int, rows: int) -> float:
    """Return the share of rows refused; of no rows, all."""
    return refused / rows if rows else 1.0


def too_many_refused(share: float, policy: Thresholds) -> bool:
    """Tell whether a batch loses so many of its rows that it was delivered broken."""
    return share > policy.refused_share


def malformed(share: float, policy: Thresholds) -> bool:
    """Tell whether so many of a column's values are of another type that it was swapped or re-formatted."""
    return share > policy.malformed_share


def ranks(low: float | None, policy: Thresholds) -> bool:
    """Tell whether a batch can be learnt from, by the lower bound of Spearman's rho; not where there is none."""
    return above(low, policy.learnable_rho)


def drift_bound(chance: float, policy: Thresholds) -> float:
    """Return the PSI from which a column has drifted: the policy's bound and, on top of it, what chance gives."""
    return policy.psi + chance


def drifted(psi: float, chance: float, policy: Thresholds) -> bool:
    """Tell whether a column's PSI counts."""
    return psi >= drift_bound(chance, policy)


def new_value_counts(share: float, rows: int, policy: Thresholds) -> bool:
    """Tell whether a value never seen is on enough rows to count."""
    return share >= policy.new_category_share and rows >= policy.new_category_rows


def above(low: float | None, limit: float) -> bool:
    """Tell whether a lower bound lies above a limit; one that is not known does not."""
    return low is not None and low > limit


def state_limit(whole: float | None, policy: Thresholds) -> float:
    """Return the ratio of errors that one state may have: worse than there, and than the batch is as a `whole`."""
    return policy.champion_slice_ratio * max(1.0, whole or 1.0)


def level_moved(low: float | None, high: float | None, policy: Thresholds) -> bool:
    """Tell whether like houses cost more, or less, by a factor that counts, from the bounds of that factor."""
    return low is not None and high is not None and (high < 1 / policy.price_level or low > policy.price_level)


def enough_to_probe(batch_rows: int, least: int) -> bool:
    """Tell whether a fit has enough of the batch's rows: as many as a new value needs to count, `new_category_rows`."""
    return batch_rows >= least


def gain_pays(batch_rows: int, share: float, low: float, policy: Thresholds) -> bool:
    """Tell whether a share of RMSE gained on the batch is enough, by more than chance and from enough of its rows."""
    return enough_to_probe(batch_rows, policy.new_category_rows) and share >= policy.probe_gain and low > 0

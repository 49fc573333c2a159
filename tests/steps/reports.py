"""Reports as validate leaves them, generated: every figure a verdict rests on, on either side of its threshold."""

from hypothesis import strategies as st

from steps.validate.champion_error import ChampionError, Comparison, PriceLevel
from steps.validate.drift import Drift, NewValue
from steps.validate.learnable import Learnable
from steps.validate.out_of_line import OutOfLine
from steps.validate.probe import Gain, RetrainValue
from steps.validate.usability import Column, Counts
from steps.validate.validate import Report

share = st.floats(0.01, 0.99)
ratio = st.none() | st.floats(0.5, 3)
POLICIES = {
    "refused_share": st.floats(0.2, 0.99), "malformed_share": st.floats(0.2, 0.99), "psi": st.floats(0.01, 1),
    "new_category_share": share, "new_category_rows": st.integers(1, 100), "champion_ratio": st.floats(1.01, 2),
    "price_level": st.floats(1.01, 2), "champion_slice_ratio": st.floats(1.01, 2), "out_of_line_named": share,
    "probe_gain": st.floats(0.01, 0.5), "learnable_rho": st.floats(0.01, 0.5),
}  # fmt: skip
policies = st.fixed_dictionaries({}, optional=POLICIES)


def compared(by: str, ratio: float | None, *, judged: bool = True) -> Comparison:
    """Return a comparison with this ratio of errors, with bounds where it has enough rows to be judged."""
    low, high = (0.9 * ratio, 1.1 * ratio) if ratio and judged else (None, None)
    return Comparison(by, "ohio", 500, 2e4, "all", 500, 1e4, ratio, low, high, 1.0)


def error(
    whole: float | None, state: float | None = None, *, judged: bool = True, factor: float = 1.0, odd: float = 0.0
) -> ChampionError:
    """Return a champion's error with these ratios, like houses at so many times the price, a share out of line."""
    level = PriceLevel(factor, 1.0, *((0.98 * factor, 1.02 * factor) if judged else (None, None)))
    slices = tuple(compared(by, state, judged=judged) for by in ("state", "price_band"))
    return ChampionError(1, compared("batch", whole, judged=judged), slices, OutOfLine(5, odd, 0.0, 1e5), level)


def value(gain: float | None, reach: float = 0.005, batch_rows: int = 1000) -> RetrainValue:
    """Return what a training would gain, on either side by so much; None was not measured."""
    here = None if gain is None else Gain(500, 490, 5e4, 5e4 * (1 - gain), gain, gain - reach, gain + reach)
    return RetrainValue(1, 5, 2000, batch_rows, 490, 0.5, here, here, gain)


columns = st.builds(lambda found: {"bed": Column(0.0, found, 1, (), 2)}, st.just(0.0) | st.just(0.1) | share)
drifts = st.builds(
    lambda psi, chance, part, rows: {
        "price": Drift(psi, 10, chance),
        "status": Drift(0.0, 3, 0.001, new_distinct=1, new_rows=rows, new_values=(NewValue("sold", rows, part),)),
    },
    st.floats(0, 1), st.floats(0, 0.1), share, st.integers(0, 100),
)  # fmt: skip
champions = st.builds(
    error,
    ratio | st.floats(0.5, 1.2),
    ratio | st.floats(0.5, 1.2),
    judged=st.booleans(),
    factor=st.floats(0.3, 3),
    odd=share,
)
values = st.builds(value, st.none() | st.floats(-0.2, 0.8), st.floats(0, 0.3), st.integers(0, 120))
learnables = st.builds(lambda low: Learnable(10, 10, low, low), st.none() | st.floats(0, 1) | st.floats(0.5, 1))


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """Return a report as `look` and the scoring leave it where there is a champion, but for its faults."""
    refused = draw(st.just(0) | st.integers(0, 200) | st.integers(0, 1000))
    counts = Counts(1000, 5000, 0.2, 1000 - refused, refused, {"MISSING price": refused}, 0, 0)
    usable = draw(st.sampled_from([True, True, False]))
    return Report(
        batch=1, batches_before=(0,), counts=counts, columns=draw(columns), faults=(), drift=draw(st.none() | drifts),
        champion=draw(st.none() | champions) if usable else None, learnable=draw(learnables),
        champion_unusable=None if usable else "another split", retrain_value=draw(values) if usable else None,
    )  # fmt: skip

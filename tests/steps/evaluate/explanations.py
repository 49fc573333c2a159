"""Explanations of any figures, for tests of their words and pictures."""

from hypothesis import strategies as st

from steps.common.explanation import (
    Advantage,
    Attributions,
    Cell,
    ErrorChange,
    Estimate,
    Explanation,
    FeatureChange,
    Fit,
    GainSplit,
    Novelty,
    PriceFactor,
    Side,
    Table,
    Term,
)
from steps.common.features import FEATURES

counts = st.integers(0, 10**7)
errors = st.floats(0, 1e6)
amounts = st.floats(-1e6, 1e6)
shares = st.floats(0, 1)
estimates = st.builds(
    lambda ends: Estimate(low=ends[0], point=ends[1], high=ends[2]),
    st.lists(amounts, min_size=3, max_size=3).map(sorted),
)
sides = st.builds(
    Side, batches=st.lists(st.integers(0, 99), min_size=1, max_size=4).map(tuple), rows=counts, properties=counts
)
cells = [
    st.builds(Cell, model=st.just(model), on=st.just(on), rmse=estimates, mae=estimates)
    for on in ("all", "new", "before")
    for model in ("champion", "candidate")
]
gains = [
    st.builds(Advantage, on=st.just(on), rows=counts, rmse=estimates, mae=estimates) for on in ("all", "new", "before")
]
tables = st.builds(Table, confidence=st.just(0.95), cells=st.tuples(*cells), gains=st.tuples(*gains))
names = st.sampled_from([("outside",), ("outside", "houses", "prices"), ("outside", "houses_or_prices")])
terms = names.flatmap(
    lambda some: st.tuples(
        *(
            st.builds(Term, name=st.just(one), mean_squared=estimates, rmse=estimates, real=st.booleans())
            for one in some
        )
    )
)
novelties = st.one_of(
    st.builds(
        Novelty, field=st.sampled_from(["state", "status"]), value=st.sampled_from(["guam", "<b>sold & gone</b>"]),
        rows=counts, share=shares, rows_before=counts,
    ),
    st.builds(
        Novelty, field=st.sampled_from(["zip_code", "city", "brokered_by"]), rows=counts, share=shares,
        rows_before=counts,
    ),
    st.builds(
        Novelty, field=st.sampled_from(["bed", "acre_lot", "prev_sold_year"]), rows=counts, share=shares,
        rows_before=counts, low=st.floats(0, 1e4), high=st.floats(0, 1e4),
    ),
)  # fmt: skip
factors = st.tuples(
    *(st.builds(PriceFactor, of=st.just(of), factor=st.floats(0.01, 100)) for of in ("before", "common", "outside"))
)
changes = st.builds(
    ErrorChange, confidence=st.just(0.99), before_rmse=errors, new_rmse=errors, mean_squared=estimates, rmse=estimates,
    real=st.booleans(), terms=terms, outside_rows=counts | st.integers(0, 40), outside_share=shares,
    needed_outside_rows=st.sampled_from([0, 30]), rarer_rows=counts, rarer_ratio=st.just(20.0),
    common_properties=counts, effective_properties=errors, needed_properties=st.just(500),
    novelties=st.lists(novelties, max_size=9).map(tuple), factors=factors,
)  # fmt: skip
fits = [
    st.builds(
        Fit, parameters=st.just(one), data=st.just(other), batches=st.just((0,)), rows=counts, rmse=errors
    )
    for one in ("champion", "candidate")
    for other in ("champion", "candidate")
]  # fmt: skip
splits = st.builds(
    GainSplit, confidence=st.just(0.95), fits=st.tuples(*fits), test_rows=counts, gain=amounts, sample_gain=estimates,
    data=estimates, parameters=estimates, beyond_sample=amounts, luck=errors,
)  # fmt: skip
features = st.lists(
    st.builds(
        FeatureChange, feature=st.sampled_from(FEATURES), champion=shares, candidate=shares, change=estimates,
        luck=shares, stands_out=st.booleans(),
    ),
    min_size=1, max_size=14,
).map(tuple)  # fmt: skip
attributions = st.builds(Attributions, confidence=st.just(0.95), rows=counts, features=features)
explanations = st.builds(
    Explanation, version=st.just(1), batch=st.integers(0, 99), candidate_version=counts, champion_version=counts,
    retrained=st.booleans(), before=sides, new=sides, table=st.none() | tables, error_change=st.none() | changes,
    gain_split=st.none() | splits, attributions=st.none() | attributions, notes=st.just(()), paragraph=st.just(()),
)  # fmt: skip

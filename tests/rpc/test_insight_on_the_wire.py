"""What the surrogate tells of a study: the server writes what the Python client reads."""

from dataclasses import asdict

from bo_client.insight import MetricAnalysis
from bo_client.wire import codec_insight
from hypothesis import given
from hypothesis import strategies as st

from bo_service.application.insight import SliceForecast
from bo_service.application.predict import PointForecast
from bo_service.domain.trial import Prediction
from bo_service.optimizer.inputs import NormalPrediction, PointPrediction
from bo_service.optimizer.insight.results import (
    Analysis,
    BestFinding,
    Calibration,
    Contender,
    Estimate,
    Interaction,
    ParameterImportance,
    RegionImportance,
    Slice,
    SliceAxis,
)
from bo_service.rpc.codec import insight

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_./-]{0,12}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8"), max_size=12)
finite = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 2**31 - 1)
trials = st.integers(1, 10**17)
estimates = st.builds(Estimate, finite, finite)
regions = st.builds(
    RegionImportance,
    finite,
    st.none() | finite,
    finite,
    st.lists(st.builds(ParameterImportance, names, estimates, estimates), max_size=3).map(tuple),
    st.lists(st.builds(Interaction, st.tuples(names, names), estimates), max_size=2).map(tuple),
)
contenders = st.builds(Contender, trials, counts, finite, finite, finite, finite, finite, counts, st.none() | finite)
bests = st.builds(
    BestFinding, texts, st.lists(contenders, max_size=3).map(tuple), trials, trials, finite, finite, counts
)
calibrations = st.builds(Calibration, texts, counts, finite, finite, finite)
analyses = st.builds(Analysis, st.tuples(regions, regions), bests, calibrations, counts)
values = finite | st.integers(-(2**53), 2**53) | texts | st.booleans()
predictions = st.lists(st.builds(Prediction, names, finite, finite), min_size=1, max_size=3).map(tuple)


@st.composite
def slices(draw: st.DrawFn) -> SliceForecast:
    axes = draw(
        st.lists(
            st.builds(SliceAxis, names, st.lists(values, min_size=1, max_size=3).map(tuple)), min_size=1, max_size=2
        )
    )
    count = 1
    for axis in axes:
        count *= len(axis.values)
    points = draw(st.lists(st.builds(PointForecast, predictions, finite), min_size=count, max_size=count))
    told = Slice(
        axes=tuple(axes),
        points=tuple(
            PointPrediction((NormalPrediction(0.0, 1.0),), 0.0) for _ in points
        ),  # inward; the wire has the forecasts
        feasible=tuple(draw(st.lists(st.booleans(), min_size=count, max_size=count))),
        base=draw(st.dictionaries(names, values, max_size=3)),
        base_trial=draw(st.none() | trials),
        acquisition=draw(texts),
        observation_count=draw(counts),
    )
    return SliceForecast(told, tuple(points))


@given(st.dictionaries(names, analyses, min_size=1, max_size=3))
def test_analyses(written) -> None:
    read = codec_insight.analysis_from_wire(insight.analyses_to_wire(written, "s-1"))
    assert [told.metric for told in read.metrics] == list(written)
    assert read.observation_count == max(found.observation_count for found in written.values())
    for (metric, found), told in zip(written.items(), read.metrics, strict=True):
        assert_same(found, told, metric)


def assert_same(found: Analysis, told: MetricAnalysis, metric: str) -> None:
    for ours, theirs in zip(found.importance, told.importance, strict=True):
        assert (ours.share, ours.bound, ours.std) == (theirs.share, theirs.bound, theirs.std)
        assert [asdict(i) for i in ours.interactions] == [asdict(i) for i in theirs.interactions]
        for p, q in zip(ours.parameters, theirs.parameters, strict=True):
            assert (p.parameter, asdict(p.first), asdict(p.total)) == (
                q.parameter,
                asdict(q.first_order),
                asdict(q.total),
            )
    assert asdict(told.calibration) == {
        ("observation_count" if key == "count" else key): value for key, value in asdict(found.calibration).items()
    }
    for name in ("summary", "observed_best", "recommended", "noise_std", "confidence", "repeats"):
        assert getattr(told.best, name) == getattr(found.best, name)
    for mine, other in zip(found.best.contenders, told.best.contenders, strict=True):
        prediction = other.prediction
        assert mine == Contender(
            other.trial,
            other.observation_count,
            other.observed,
            prediction.mean,
            prediction.std,
            other.probability,
            other.expected_regret,
            other.repeats,
            other.probability_behind,
        )
        assert prediction.metric == metric


@given(slices())
def test_slices(forecast) -> None:
    found = forecast.slice
    read = codec_insight.slice_from_wire(insight.slice_to_wire(forecast, "s-1"))
    assert [(a.parameter, a.values) for a in read.axes] == [(a.parameter, a.values) for a in found.axes]
    assert [list(map(type, a.values)) for a in read.axes] == [list(map(type, a.values)) for a in found.axes]
    for written, point in zip(forecast.points, read.points, strict=True):
        assert [asdict(p) for p in point.predictions] == [asdict(p) for p in written.predictions]
        assert point.acquisition_value == written.acquisition_value
    assert [p.feasible for p in read.points] == list(found.feasible)
    names_of_axes = [a.parameter for a in found.axes]
    assert read.points[-1].parameters == dict(zip(names_of_axes, (a.values[-1] for a in found.axes), strict=True))
    assert (read.base, read.base_trial, read.acquisition) == (found.base, found.base_trial, found.acquisition)
    assert read.observation_count == found.observation_count

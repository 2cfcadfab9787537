import numpy as np
import pytest

from estimators.imodel.features import KINDS, Events, align, best_variant, draw_on, inputs

NCA = KINDS["nca"]
REST = 4.19 - 0.01 * np.log1p(np.arange(1.0, 15.0))
CURVE = np.linspace(0.0, 2.0, 50)


def events(charge=CURVE, rest=REST):
    one = np.ones(1)
    return Events(charge[None], rest[None], 25 * one, 0.5 * one, one)


def test_a_rest_that_begins_at_once_looks_like_one_that_begins_a_period_later():
    at_once = np.concatenate([[REST[0] + 0.03], REST[:-1]])
    assert align(at_once[None])[0, :-1] == pytest.approx(REST[:-1])
    assert align(REST[None])[0] == pytest.approx(REST)


def test_a_short_rest_goes_on_falling_ever_more_slowly():
    drawn = draw_on(np.where(np.arange(14) < 9, REST, np.nan)[None])[0]
    assert (np.diff(drawn) < 0).all()
    assert (np.diff(drawn, 2)[7:] > 0).all()


def test_what_was_not_seen_decides_what_is_looked_at():
    nothing = np.full(50, np.nan)
    late, too_late = (np.where(np.arange(50) < begun, np.nan, CURVE) for begun in (10, 16))
    short = np.where(np.arange(14) < 3, REST, np.nan)
    assert best_variant(events(), NCA) == ["both"]
    assert best_variant(events(charge=nothing), NCA) == ["rest"]
    assert best_variant(events(charge=late), NCA) == ["late"]
    assert best_variant(events(charge=too_late), NCA) == ["rest"]
    assert best_variant(events(rest=short), NCA) == ["charge"]
    assert best_variant(events(nothing, short), NCA) == [None]


def test_a_late_charge_looks_the_same_wherever_it_began():
    began = np.where(np.arange(50) < 10, np.nan, CURVE - CURVE[10])
    assert inputs(events(began), NCA, "late") == pytest.approx(inputs(events(), NCA, "late"))
    assert np.isnan(inputs(events(began), NCA, "both")).any()


def test_a_cell_of_twice_the_size_looks_the_same():
    from dataclasses import replace

    large = replace(NCA, nominal_capacity_ah=7.0)
    assert inputs(events(2 * CURVE), large, "both") == pytest.approx(inputs(events(), NCA, "both"))

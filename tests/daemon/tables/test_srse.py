"""SRSE on folders of charges."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars
import pytest

from daemon.errors import UsageError
from daemon.tables import charges, srse
from daemon.tables.cases import Options, score, write
from tests.daemon.tables import charge_ends
from tests.daemon.tables.relaxation_files import zhu_like
from tests.daemon.tables.test_nasa import cycles
from tests.daemon.tables.test_nasa import write as write_cell

pytest.importorskip("sklearn")

DATA = Path(os.environ.get("BMSD_DATA", Path(__file__).parents[4] / "shared" / "data"))
NASA = DATA / "nasa-pcoe-aging"


@pytest.fixture
def folder(tmp_path):
    """Three cells of NASA's form."""
    for i in range(3):
        write_cell(tmp_path, f"B{i}", cycles(1.8, 1.75 - 0.02 * i, 1.7, 1.65))
    return tmp_path


def quick(known):
    return replace(known, recipe=replace(known.recipe, backbone="mlp", steps=2, look_every=1, batch=2))


def test_every_cell_is_held_once_and_whole(folder):
    known = charges.read(folder)
    held = np.zeros(len(known), int)
    for learnt, judged in srse.folds_of(known, 3, 0):
        assert not set(known.cell[learnt]) & set(known.cell[judged])
        held += judged
    assert (held == 1).all()


def test_learning_anew_scores_every_method_on_cells_left_out(folder):
    (cases,) = srse._evaluate(quick(charges.read(folder)), Options("srse", folds=3))
    assert next(iter(cases.said)) == "srse"
    assert {"single-task networks", "pooled network", "ridge", srse.DEFAULT, "hold"} <= set(cases.said)
    by_method = {s.method: s for s in score(cases)}
    assert by_method["srse"].cases == 12
    assert by_method[srse.DEFAULT].set == "full charge, 24 C, in points of 2"
    assert by_method[srse.DEFAULT].rmse < 2.5
    assert by_method["hold"].cases == 9  # nothing is known before a cell's first discharge


def test_what_is_shipped_answers_cells_without_labels(folder, tmp_path):
    unlabelled = tmp_path / "unlabelled"
    unlabelled.mkdir()
    write_cell(unlabelled, "X", cycles(1.8, 1.7), labels=False)
    found = srse.soh_cases(unlabelled, Options("soh"))
    assert [next(iter(c.said)) for c in found] == [srse.DEFAULT]
    write(tmp_path / "said.csv", found)
    said = polars.read_csv(tmp_path / "said.csv")
    assert said["predicted"].is_not_null().all()
    assert said["truth"].is_null().all()
    assert said["cell"].to_list() == ["X", "X"]
    assert said["operation"].to_list() == [1, 3]


def test_an_unknown_configuration_is_flagged_and_answered(folder):
    known = charges.read(folder)
    strange = replace(known, configuration=np.full(len(known), "-20 C"))
    strange = replace(strange, looks=replace(strange.looks, configuration=strange.configuration))
    (cases,) = srse._evaluate(strange, Options("srse"))
    (usual,) = srse._evaluate(known, Options("srse"))
    for method in ("srse", srse.DEFAULT):
        assert np.isfinite(cases.said[method].mean).all()
        assert not cases.said[method].in_domain.any()
        assert cases.said[method].std.mean() > usual.said[method].std.mean()


def test_partial_charges_are_read_with_and_without_labels(tmp_path):
    volt = np.linspace(0.0, 1.6, 50)
    rows = [
        {"cell": f"CY25-05_1-{i}", "cycle": k, "charge_c_rate": 0.5, "ambient_temperature_celsius": 25}
        | {f"dq_ah_{j:02d}": v * (1 - 0.01 * k) for j, v in enumerate(volt)}
        | {"discharge_capacity_ah": 3.3 * (1 - 0.01 * k) if i else None}
        for i in range(3)
        for k in range(4)
    ]
    rows[5]["dq_ah_20"] = None
    polars.DataFrame(rows).write_csv(tmp_path / "nca.csv")
    known = charges.read(tmp_path)
    assert len(known) == 11
    assert known.x.shape == (11, 2, 50)
    assert set(known.configuration) == {"NCA 25 C"}
    assert np.isnan(known.soh).sum() == 4
    assert known.unscored == ("nca.csv, CY25-05_1-1, cycle 1: a charge curve that is not whole (window_not_covered)",)
    assert known.identity.columns == ["cell", "cycle", "charge_c_rate", "ambient_temperature_celsius"]


def test_charges_that_cannot_be_used_are_named_and_nothing_left_is_refused(tmp_path):
    frame = zhu_like(2, 6).with_columns(dq_ah_total=1.0)
    falls = polars.when((polars.col("cell") == "CY25-0") & (polars.col("cycle") == 4)).then(9.0).otherwise("dq_ah_10")
    frame.with_columns(falls.alias("dq_ah_10")).write_csv(tmp_path / "nca.csv")
    frame.drop("dq_ah_05").write_csv(tmp_path / "ncm.csv")
    known = charges.read(tmp_path)
    assert len(known) == 11
    assert known.unscored == (
        "nca.csv, CY25-0, cycle 4: a charge curve that falls",
        "ncm.csv, CY25-0, cycle 2-7: no dq_ah_05",
        "ncm.csv, CY45-1, cycle 2-7: no dq_ah_05",
    )
    (tmp_path / "nca.csv").unlink()
    with pytest.raises(UsageError, match="no charge curve") as caught:
        charges.read(tmp_path)
    assert "no dq_ah_05" in caught.value.mend


def test_ends_of_charges_of_which_none_can_be_used_are_refused(tmp_path):
    charge_ends.write(tmp_path / "xjtu.csv", {"a": 2}, bad=dict.fromkeys((1, 2), ("cc_q", "")))
    with pytest.raises(UsageError, match="no row that can be used") as caught:
        charges.read(tmp_path)
    assert "xjtu a row 1, 2: cc_q not finite" in caught.value.mend


def test_a_cell_that_is_always_learnt_from_is_named_and_none_to_ask_is_refused(tmp_path):
    zhu_like(3, 6).write_csv(tmp_path / "nca.csv")
    found = srse._evaluate(quick(charges.read(tmp_path)), Options("srse", folds=2, alone=True))
    assert any(reason.startswith("NCA CY45-1: not asked") for cases in found for reason in cases.unscored)
    zhu_like(2, 6).write_csv(tmp_path / "nca.csv")
    with pytest.raises(UsageError, match="too few cells"):
        srse.evaluate(tmp_path, Options("srse", folds=2))


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(UsageError):
        srse.evaluate(tmp_path, Options("srse"))
    with pytest.raises(UsageError):
        srse.train(tmp_path, None, 0, print)


@pytest.mark.skipif(not NASA.is_dir(), reason="NASA's ageing set is not here")
def test_cells_of_the_real_set_that_trained_nothing_are_known_to_a_point():
    known = charges.full_charges(NASA)
    labelled = known.pick(np.isfinite(known.soh))
    errors = []
    for learnt, held in srse.folds_of(labelled, 3, 0):
        judged = labelled.pick(held)
        errors.append(srse._corrected(srse._looks, labelled.pick(learnt), judged, 0).mean - judged.soh)
    assert np.sqrt(np.mean(np.concatenate(errors) ** 2)) < 0.0085

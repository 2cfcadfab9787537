"""`bmsd train` on a recipe so small that nothing is learnt: what it reads, writes and says."""

import importlib.util

import pytest
import yaml

from daemon.cli import main
from estimators.cell_type import CellType
from estimators.cross_stitch import CrossStitch, weights

RECIPE = {
    "simulated": {"chemistry": "nca", "cells": 18, "seconds": 900, "seed": 1},
    "settings": {"steps": 2, "rows": 2, "seconds": 100, "warm_up_steps": 1, "checkpoint_steps": 1},
}


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr("estimators.cross_stitch.calibrate.WINDOWS", 2)
    monkeypatch.setattr("daemon.cli.train.SEARCH_STEPS", 4)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def cell_type(tmp_path):
    folder = tmp_path / "my-cell"
    folder.mkdir()
    facts = yaml.safe_load((CellType.load("generic-nca").folder / "cell.yaml").read_text())
    (folder / "cell.yaml").write_text(yaml.safe_dump(facts | {"name": "my-cell"}))
    (folder / "training.yaml").write_text(yaml.safe_dump(RECIPE))
    return folder


def train(cell_type, *more):
    return main(["train", "cross-stitch", "--cell-type", str(cell_type), *more])


def test_a_training_leaves_weights_with_their_uncertainty_and_domain_and_a_card(cell_type):
    assert train(cell_type) == 0
    made = weights.load(cell_type)
    assert made.domain is not None
    assert made.uncertainty.layer.bias.item() != 0.0
    card = (cell_type / "CARD.md").read_text()
    assert "90 % intervals" in card
    assert "2 steps of 2 rows" in card
    record = (cell_type / "learning.csv").read_text().splitlines()
    assert record[0].startswith("step,soc_loss,soh_loss,stitch_1_aa,")
    assert record[-1].startswith("2,")
    CrossStitch(CellType.load(cell_type))


def test_calibrating_alone_keeps_the_network_and_renews_what_stands_beside_it(cell_type):
    train(cell_type)
    first = weights.load(cell_type)
    weights.save(weights.Weights(first.network, 0.5, first.temperature_celsius, first.soc_std, 0.5), cell_type)
    assert train(cell_type, "--calibrate-only") == 0
    again = weights.load(cell_type)
    assert all((a == b).all() for a, b in zip(first.network.parameters(), again.network.parameters(), strict=True))
    assert again.domain is not None
    assert again.soh_std == pytest.approx(first.soh_std)
    assert "--calibrate-only" not in (cell_type / "CARD.md").read_text()


def test_calibrating_alone_needs_weights(cell_type, capsys):
    assert train(cell_type, "--calibrate-only") == 1
    assert "train it first" in capsys.readouterr().err


def test_a_setting_that_does_not_exist_is_named(cell_type, capsys):
    (cell_type / "training.yaml").write_text(yaml.safe_dump({"settings": {"stepps": 3}}))
    assert train(cell_type) == 2
    assert "stepps" in capsys.readouterr().err


def test_a_physics_that_does_not_exist_is_named(cell_type, capsys):
    recipe = {"simulated": {"chemistry": "nca", "cells": 2, "seconds": 600, "physics": ["circuit", "tea leaves"]}}
    (cell_type / "training.yaml").write_text(yaml.safe_dump(recipe))
    assert train(cell_type) == 2
    assert "no physics `tea leaves`; there are circuit, spme" in capsys.readouterr().err


def test_a_search_leaves_the_best_settings(cell_type, tmp_path):
    pytest.importorskip("optuna", reason="Optuna is not installed: pip install 'bmsd[train]'")
    assert train(cell_type, "--search", "2") == 0
    found = yaml.safe_load((tmp_path / "runs" / "my-cell" / "searched.yaml").read_text())
    assert set(found["settings"]) >= {"learning_rate", "soh_weight", "rows"}


@pytest.mark.skipif(importlib.util.find_spec("optuna") is not None, reason="Optuna is installed")
def test_a_search_without_optuna_says_how_to_get_it(cell_type, capsys):
    assert train(cell_type, "--search", "2") == 2
    assert "bmsd[train]" in capsys.readouterr().err


def test_a_search_of_nothing_is_refused(cell_type, capsys):
    assert train(cell_type, "--search", "0") == 2
    assert "--search" in capsys.readouterr().err


def test_a_search_where_there_is_nothing_to_search_is_refused(tmp_path, capsys):
    assert main(["train", "srse", "--data", str(tmp_path), "--search", "2"]) == 2
    assert "multitask alone" in capsys.readouterr().err
    assert main(["train", "multitask", "--data", str(tmp_path), "--calibrate-only"]) == 2
    assert "--calibrate-only is for cross-stitch alone" in capsys.readouterr().err

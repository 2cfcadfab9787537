"""Which estimator is published by what was measured."""

from daemon.comparison import best, table, worth


def test_the_fused_one_is_published_unless_another_is_clearly_better():
    assert best({"fused": (0.30, 0.40), "ekf": (0.27, 0.35)}) == "fused"
    assert best({"fused": (0.30, 0.40), "ekf": (0.20, 0.30)}) == "ekf"
    assert best({"coulomb": (9.0,)}) == "coulomb"


def test_before_and_after_stand_below_each_other():
    shown = table({"ekf": (1.0, 2.0, 3.0, 4.0)}, {"fused": (0.0, 0.0, 0.0, 1.0), "ekf": (0.5, 0.5, 0.5, 0.5)})
    assert shown.splitlines()[2:] == [
        "| fused | after | 0.00 | 0.00 | 0.00 | 1.00 | 0.25 |",
        "| ekf | before | 1.00 | 2.00 | 3.00 | 4.00 | 2.50 |",
        "| ekf | after | 0.50 | 0.50 | 0.50 | 0.50 | 0.50 |",
    ]


def test_a_network_earns_its_place_by_a_twentieth_of_the_error():
    assert worth(0.94, 1.0)
    assert not worth(0.96, 1.0)

import torch

from estimators.cross_stitch.uncertainty import Uncertainty, fitted, inputs

ROWS = 4_000


def seen(age_second):
    """Features of which the first is 0 where the network knows and 1 where it does not; the others say nothing."""
    torch.manual_seed(1)
    features = torch.rand(ROWS, 64)
    features[:, 0] = (features[:, 0] > 0.5).float()
    features[:, 1] = 0.0  # a rectifier that never opened
    return features, torch.full((ROWS,), age_second), torch.rand(ROWS)


def test_a_fit_finds_where_the_error_is_larger():
    features, age, temperature = seen(5_000.0)
    error = torch.randn(ROWS) * torch.where(features[:, 0] > 0, 0.08, 0.01)
    log_std = fitted(inputs(features, age, temperature), error)(features, age, temperature)
    knows, guesses = log_std[features[:, 0] == 0].exp(), log_std[features[:, 0] == 1].exp()
    assert 6.0 < (guesses.mean() / knows.mean()) < 10.0
    assert guesses.std() < 0.2 * guesses.mean()


def test_a_fit_is_around_zero_so_that_the_table_by_temperature_sets_the_level():
    features, age, temperature = seen(5_000.0)
    rows = inputs(features, age, temperature)
    log_std = fitted(rows, 0.03 * torch.randn(ROWS))(features, age, temperature)
    assert abs(log_std.mean()) < 0.01


def test_without_a_fit_the_start_alone_is_less_sure():
    features, _, temperature = seen(0.0)
    now, later = (Uncertainty()(features[:1], torch.tensor([age]), temperature[:1]).exp() for age in (1.0, 900.0))
    assert now > 8.0
    assert abs(later - 1.0) < 1e-3


def test_it_is_bounded_however_strange_the_features():
    features, age, temperature = seen(100.0)
    layer = fitted(inputs(features, age, temperature), torch.randn(ROWS) * 0.02 * (1.0 + features[:, 0]))
    assert torch.isfinite(layer(features * 1e6, age, temperature).exp()).all()

import numpy as np
import pytest
import torch

from estimators.pulse.network import (
    KEPT_OPEN,
    PUBLISHED,
    UNITS,
    ConditionalVae,
    CrossAttention,
    Settings,
    generate,
    train,
)
from tests.estimators.pulse.made_up import table

VOLT, SOH, SOC, _ = table(cells=12, points=21)


def test_the_closed_form_is_one_head_of_attention_between_tokens_of_width_one():
    """Against the library's attention: key width 64, query, key and value projected from one number each."""
    torch.manual_seed(0)
    query_weight, key_weight, value_weight, out_weight = (torch.randn(64) for _ in range(4))
    query_bias, value_bias = torch.randn(64), torch.randn(64)
    h, c = torch.rand(5, UNITS), torch.rand(5, UNITS)
    q = h[..., None] * query_weight + query_bias
    k, v = c[..., None] * key_weight, c[..., None] * value_weight + value_bias
    theirs = torch.nn.functional.scaled_dot_product_attention(q, k, v) @ out_weight
    ours = CrossAttention()
    with torch.no_grad():
        ours.scale.copy_(query_weight @ key_weight / 8)
        ours.shift.copy_(query_bias @ key_weight / 8)
        ours.gain.copy_(value_weight @ out_weight)
        ours.bias.copy_(value_bias @ out_weight)
        assert ours(h, c).numpy() == pytest.approx(theirs.numpy(), abs=2e-3)


def test_the_network_is_as_large_as_the_paper_s_without_the_dead_weights():
    ours = sum(p.numel() for p in ConditionalVae(21).parameters())
    assert ours == 4315 - 2 * 449 + 2 * 4


def test_published_settings_let_the_latent_variables_collapse_and_the_others_keep_them():
    few = {"epochs": 30}
    closed = train(VOLT, SOC / 100, SOH, Settings(**few))
    opened = train(VOLT, SOC / 100, SOH, Settings(epochs=30, reconstruction=1000.0, rising_epochs=15, free_nat=0.25))
    assert closed.divergence_nat < 0.1
    assert opened.divergence_nat > 0.4
    assert (PUBLISHED.free_nat, KEPT_OPEN.free_nat) == (0.0, 0.25)


def test_what_is_drawn_lies_among_the_training_voltages_and_the_seed_decides():
    learnt = train(VOLT, SOC / 100, SOH, Settings(epochs=5))
    drawn = generate(learnt, np.full(20, 0.3), np.linspace(0.6, 1.0, 20), seed=1)
    assert drawn.shape == (20, 21)
    assert (drawn >= VOLT.min(axis=0) - 1e-6).all()
    assert (drawn <= VOLT.max(axis=0) + 1e-6).all()
    assert (drawn == generate(learnt, np.full(20, 0.3), np.linspace(0.6, 1.0, 20), seed=1)).all()

import pytest

from simulators import physics


def test_an_unknown_physics_is_met_with_those_there_are():
    with pytest.raises(ValueError, match="no physics `p2d`; there are circuit, spme"):
        physics.named("p2d")

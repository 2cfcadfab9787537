from dataclasses import fields

import numpy as np
import torch

from estimators.cross_stitch.sequence import run
from estimators.cross_stitch.unroll import Carried, unroll
from estimators.cross_stitch.windows import Faults, Run, Stream
from tests.estimators.cross_stitch.test_train import fresh

HOUR, SECONDS = 3_600, 4_000


def test_windows_with_carried_state_equal_the_whole_sequence():
    network = fresh()
    with torch.no_grad():
        network.stitches.add_(0.1 * torch.randn_like(network.stitches))
    random = np.random.default_rng(0)
    columns = (3.6 + 0.1 * random.standard_normal(SECONDS), random.standard_normal(SECONDS), np.full(SECONDS, 25.0))
    cell = Run("a", *(c.astype(np.float32) for c in (*columns, np.zeros(SECONDS), np.full(SECONDS, 0.9))))
    no_faults = Faults(**{f.name: 0.0 for f in fields(Faults)})
    stream = Stream([cell], rows=1, seconds=200, seed=0, inside=0.0, faults=no_faults)
    stream._first = False

    carried, soc, soh = Carried.zero(1, torch.device("cpu")), [], []
    with torch.no_grad():
        for _ in range(SECONDS // 200):
            said, carried = unroll(network, stream.next(), carried)
            soc.append(said.soc)
            soh += said.soh.tolist()
    whole_soc, whole_soh = run(network, torch.from_numpy(cell.inputs()[:, None]), torch.tensor([0.9]))
    apart = (torch.cat(soc) - whole_soc).abs()
    assert apart[np.arange(SECONDS) != HOUR - 1].max() < 1e-5  # there, windows still hold the old features
    assert len(soh) == 1
    assert abs(soh[0] - whole_soh[HOUR - 1].item()) < 1e-5

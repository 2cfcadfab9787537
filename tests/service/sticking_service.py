"""`bmsd` whose tick sticks once, if there is a file $STICK_FILE: python -m tests.service.sticking_service run ..."""

import os
import sys
import time
from pathlib import Path

from daemon import models
from daemon.cli import main
from daemon.models import Model
from tests.daemon.counting import Counting

STICKS_ABOVE_VOLT = 3.95


class Sticking(Counting):
    """Counts, but never comes back from a second of high voltage, once."""

    def step(self, state, second):
        file = Path(os.environ["STICK_FILE"])
        if file.exists() and (second.voltage_volt > STICKS_ABOVE_VOLT).any():
            file.unlink()
            time.sleep(3_600)
        return super().step(state, second)


if __name__ == "__main__":
    for name in models.MODELS:
        models.MODELS[name] = Model(lambda cell_type, name=name: Sticking(cell_type, name))
    sys.exit(main())

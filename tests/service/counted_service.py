"""`bmsd` with the small counting estimator in place of the shipped: python -m tests.service.counted_service run ..."""

import sys

from daemon import models
from daemon.cli import main
from daemon.models import Model
from tests.daemon.counting import Counting

for name in models.MODELS:
    models.MODELS[name] = Model(lambda cell_type, name=name: Counting(cell_type, name))

if __name__ == "__main__":
    sys.exit(main())

"""What cells do, recognised on the grid: rests, charges and their stages, pulses, cycles; gaps and clock jumps told.

    Watch.see(closed seconds) -> events, and phases that are over with what was recorded of them

Arrays in, events out; causal; every detector holds against noise by scores or strikes of its own.
"""

from daemon.events.gaps import of_gaps, of_jumps
from daemon.events.phases import Phase
from daemon.events.watch import Bounds, Seen, Watch
from daemon.events.wave import Told

__all__ = ["Bounds", "Phase", "Seen", "Told", "Watch", "of_gaps", "of_jumps"]

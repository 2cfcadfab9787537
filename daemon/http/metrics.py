"""The counters of `bms/status/metrics` under the names that Prometheus has for such: units spelled out, `_total`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from daemon.wire import Reject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from daemon.http.pulse import Pulse
    from daemon.wire import Metrics

COUNTER, GAUGE = CounterMetricFamily, GaugeMetricFamily
MILLI = 0.001


class Row(NamedTuple):
    """One field of wire.Metrics as a family of metrics."""

    field: str
    family: type[CounterMetricFamily | GaugeMetricFamily]
    name: str
    says: str
    label: str | None = None  # what the field is told apart by
    scale: float = 1.0
    always: Iterable[str] = ()  # values of the label that are told from the start, so that a first one is an increase


ROWS = (
    Row("up_second", GAUGE, "bmsd_uptime_seconds", "Since the service started."),
    Row("received", COUNTER, "bmsd_messages_received", "Messages that came in, copies included."),
    Row("unacknowledged", GAUGE, "bmsd_messages_unacknowledged", "Messages that are not on disk yet."),
    Row("offered", COUNTER, "bmsd_samples_offered", "Samples in messages that were acknowledged."),
    Row("accepted", COUNTER, "bmsd_samples_accepted", "Samples that were sound."),
    Row("rejected", COUNTER, "bmsd_samples_rejected", "Samples that were not.", "reason", always=tuple(Reject)),
    Row("journaled", COUNTER, "bmsd_samples_journaled", "Samples that are on disk."),
    Row("turned_away", COUNTER, "bmsd_samples_turned_away", "Samples on disk, of no cell that is taken.", "reason"),
    Row("duplicate", COUNTER, "bmsd_samples_duplicate", "Samples seen before."),
    Row("late", COUNTER, "bmsd_samples_late", "Samples older than the newest, never seen."),
    Row("clock", COUNTER, "bmsd_samples_clock", "Samples dropped for a clock that jumped."),
    Row("rows", COUNTER, "bmsd_estimates", "Estimates: one for each cell and second."),
    Row("published", COUNTER, "bmsd_outputs_published", "States, events and reports given to the sinks."),
    Row("carried", GAUGE, "bmsd_outputs_carried", "Outputs that waited at the start already.", "sink"),
    Row("waiting", GAUGE, "bmsd_outputs_waiting", "Outputs on disk, not delivered yet.", "sink"),
    Row("delivered", COUNTER, "bmsd_outputs_delivered", "Outputs that the sink has confirmed.", "sink"),
    Row("dropped", COUNTER, "bmsd_outputs_dropped", "Outputs lost: too old, too many, or damaged on disk.", "sink"),
    Row("refused", COUNTER, "bmsd_outputs_refused", "Outputs that the sink would not take.", "sink"),
    Row("cells", GAUGE, "bmsd_cells", "Cells held."),
    Row("stale", GAUGE, "bmsd_cells_stale", "Cells of them that have fallen silent."),
    Row("tick_p50_ms", GAUGE, "bmsd_tick_p50_seconds", "Median time from a batch to its states.", scale=MILLI),
    Row("tick_p99_ms", GAUGE, "bmsd_tick_p99_seconds", "99th percentile of the same.", scale=MILLI),
    Row("journal_bytes", GAUGE, "bmsd_journal_bytes", "Size of the journal."),
    Row("checkpoint_age_second", GAUGE, "bmsd_checkpoint_age_seconds", "Since the fleet's memory was last written."),
)


class _Reading(Collector):
    """The numbers of one moment."""

    def __init__(self, metrics: Metrics, pulse: Pulse, refused: Mapping[str, int]) -> None:
        self._metrics, self._pulse, self._refused = metrics, pulse, refused

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("bmsd_build", "What runs.", {"version": self._metrics.version})
        for row in ROWS:
            value = getattr(self._metrics, row.field)
            if row.label:
                yield _labelled(row, dict.fromkeys(map(str, row.always), 0) | value)
            elif value is not None:
                yield row.family(row.name, row.says, value * row.scale)
        yield GAUGE("bmsd_tick_age_seconds", "Since the estimators' thread last moved.", self._pulse.tick_age_second)
        yield _labelled(Row("", GAUGE, "bmsd_connected", "1: connected to the broker.", "link"), self._pulse.connected)
        yield _labelled(Row("", COUNTER, "bmsd_http_refused", "Requests refused.", "reason"), self._refused)


def exposition(metrics: Metrics, pulse: Pulse, refused: Mapping[str, int], accept: str) -> tuple[bytes, str]:
    """Spell the numbers as the one who asks can read them: the text, and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Reading(metrics, pulse, refused))
    ProcessCollector(registry=registry)  # memory, processor time, open files
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


def _labelled(row: Row, values: Mapping[str, float]) -> Metric:
    family = row.family(row.name, row.says, labels=[str(row.label)])
    for label, value in values.items():
        family.add_metric([label], float(value))
    return family

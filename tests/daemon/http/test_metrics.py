"""daemon/http/metrics.py: every counter, under names that Prometheus takes."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from daemon.http.metrics import COUNTER, ROWS, exposition
from daemon.http.pulse import Pulse
from daemon.wire import Metrics, Reject
from tests.daemon.http.talking import metrics

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
NO_NUMBERS = {"unix_time_second", "version", "last_rejected", "schema"}
PULSE = Pulse(0.25, {"telemetry": True, "states": False})


def samples(text: bytes, parse=parse_text) -> dict[tuple[str, ...], float]:
    return {(s.name, *s.labels.values()): s.value for family in parse(text.decode()) for s in family.samples}


def test_every_number_of_the_counters_has_a_row_and_a_name_of_its_own():
    assert {row.field for row in ROWS} | NO_NUMBERS == set(Metrics.__struct_fields__)
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert not any(row.name.endswith(("_total", "_ms", "_second")) for row in ROWS)


@pytest.mark.parametrize(("accept", "parse"), [("", parse_text), (OPENMETRICS, parse_openmetrics)])
def test_each_row_tells_its_field_in_base_units(accept, parse):
    told = metrics()
    shown = samples(exposition(told, PULSE, {"token": 3}, accept)[0], parse)
    for row in ROWS:
        value, name = getattr(told, row.field), row.name + "_total" * (row.family is COUNTER)
        if row.label:
            assert shown[name, "a"] == value["a"]
        else:
            assert shown[name,] == pytest.approx(value * row.scale)
    assert shown["bmsd_build_info", "0.1.0"] == 1
    assert (shown["bmsd_connected", "telemetry"], shown["bmsd_connected", "states"]) == (1, 0)
    assert shown["bmsd_tick_age_seconds",] == 0.25
    assert shown["process_resident_memory_bytes",] > 1e6
    assert shown["bmsd_http_refused_total", "token"] == 3


def test_what_is_not_known_is_not_told():
    shown = samples(exposition(metrics(checkpoint_age_second=None), PULSE, {}, "")[0])
    assert ("bmsd_checkpoint_age_seconds",) not in shown


def test_a_reason_is_there_before_it_happens():
    shown = samples(exposition(metrics(rejected={"shape": 2}), PULSE, {}, "")[0])
    reasons = {key[1]: value for key, value in shown.items() if key[0] == "bmsd_samples_rejected_total"}
    assert reasons == {str(reason): 2.0 * (reason is Reject.SHAPE) for reason in Reject}

"""The configuration: one file per group of headings in config.yaml, one model for the whole."""

from daemon.config.cells import Cells, EstimatorName, Grid, PackRule
from daemon.config.health import HealthChecks
from daemon.config.http import Http
from daemon.config.mqtt import Mqtt, Tls
from daemon.config.outputs import InfluxSink, MqttSink, Outbox, Publish, Sinks, SqliteSink
from daemon.config.read import Reading, check_cell_types, read, read_config
from daemon.config.root import Config
from daemon.config.service import Checkpoint, Journal, Service
from daemon.config.sorting import Sorting

__all__ = [
    "Cells",
    "Checkpoint",
    "Config",
    "EstimatorName",
    "Grid",
    "HealthChecks",
    "Http",
    "InfluxSink",
    "Journal",
    "Mqtt",
    "MqttSink",
    "Outbox",
    "PackRule",
    "Publish",
    "Reading",
    "Service",
    "Sinks",
    "Sorting",
    "SqliteSink",
    "Tls",
    "check_cell_types",
    "read",
    "read_config",
]

"""The whole of config.yaml as one model."""

from __future__ import annotations

from pydantic import Field

from daemon.config.cells import Cells, Grid
from daemon.config.health import HealthChecks
from daemon.config.http import Http
from daemon.config.mqtt import Mqtt
from daemon.config.outputs import Publish, Sinks
from daemon.config.section import Section
from daemon.config.service import Checkpoint, Journal, Service
from daemon.config.sorting import Sorting


class Config(Section):
    """Configuration of bmsd."""

    version: int = Field(1, ge=1, le=1, description="Version of this file's form.")
    mqtt: Mqtt = Field(default_factory=Mqtt, description="The broker that telemetry comes from and states go to.")
    cells: Cells = Field(default_factory=Cells, description="Which packs exist and what their cells are.")
    grid: Grid = Field(default_factory=Grid, description="The 1 Hz grid of event time that every cell lives on.")
    health: HealthChecks = Field(default_factory=HealthChecks, description="Checks of a rest, a charge, a pulse test.")
    publish: Publish = Field(default_factory=Publish, description="When a cell's state is said again.")
    sinks: Sinks = Field(default_factory=Sinks, description="Where states go.")
    http: Http = Field(default_factory=Http, description="Health, metrics and states over HTTP, to read only.")
    journal: Journal = Field(default_factory=Journal, description="Accepted telemetry on disk.")
    checkpoint: Checkpoint = Field(default_factory=Checkpoint, description="The fleet's memory on disk.")
    service: Service = Field(default_factory=Service, description="Where things are kept, and the log.")
    sorting: Sorting = Field(default_factory=Sorting, description="Which grade a retired cell gets.")

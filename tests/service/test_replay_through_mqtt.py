import os
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from daemon import models
from daemon.cli import main
from daemon.models import Model
from tests.daemon.counting import Counting, write_cell_type

pytestmark = pytest.mark.service

DATA = Path(os.environ.get("BMSD_DATA", Path(__file__).parents[2] / "../shared/data"))


@pytest.fixture
def replay(tmp_path, monkeypatch):
    for name in models.MODELS:
        monkeypatch.setitem(models.MODELS, name, Model(lambda t, n=name: Counting(t, n), models.MODELS[name].fallback))
    cell_type = write_cell_type(tmp_path / "counted")

    def go(log, out, *options):
        logs = [str(path) for path in np.atleast_1d(log)]
        return main(["replay", *logs, "--cell-type", cell_type, "--out", str(tmp_path / out), *options]), tmp_path / out

    return go


def through(tmp_path, port):
    (tmp_path / "config.yaml").write_text(f"mqtt:\n  host: 127.0.0.1\n  port: {port}\n")
    return "--through", "mqtt", "--config", str(tmp_path / "config.yaml")


def awkward_log(path, seed=0):
    """Write a log with gaps, duplicates, late rows, missing temperatures and more samples than the window."""
    rng = np.random.default_rng(seed)
    time = np.cumsum(rng.choice([0.1, 1.0, 7.3, 0.0, 200.0], 3000, p=[0.6, 0.3, 0.06, 0.03, 0.01]))
    time[500] -= 3.3
    rows = (
        f"{t!r},{v!r},{a!r},{c}\n"
        for t, v, a, c in zip(
            time.tolist(),
            rng.uniform(3, 4, 3000).tolist(),
            rng.normal(0, 2, 3000).tolist(),
            rng.choice(["", "25.25", "61.5"], 3000),
            strict=True,
        )
    )
    path.write_text("test_time_second,voltage_volt,current_ampere,temperature_celsius\n" + "".join(rows))
    return path


def test_through_a_broker_and_straight_in_give_the_same_file_byte_for_byte(replay, mosquitto_broker, tmp_path):
    logs = [awkward_log(tmp_path / "a.csv", 1), awkward_log(tmp_path / "b.csv", 2)]
    options = ("--estimator", "cross_stitch", "--start", "2026-05-01T12:00:00Z")
    assert replay(logs, "straight.csv", *options)[0] == 0
    status, path = replay(logs, "through.csv", *options, *through(tmp_path, mosquitto_broker.port))
    assert status == 0
    assert path.read_bytes() == (tmp_path / "straight.csv").read_bytes()
    assert len(path.read_bytes()) > 100_000


def test_a_recorded_drive_at_600_times_real_time_gives_the_file_of_the_straight_way(mosquitto_broker, tmp_path):
    log = DATA / "panasonic-18650pf" / "25c_us06.csv.gz"
    if not log.is_file():
        pytest.skip(f"no {log}; set BMSD_DATA")
    command = ["replay", str(log), "--cell-type", "panasonic-18650pf", "--estimator", "coulomb", "--initial-soc", "1"]
    broker = through(tmp_path, mosquitto_broker.port)
    assert main([*command, "--out", str(tmp_path / "straight.csv")]) == 0
    assert main([*command, "--out", str(tmp_path / "through.csv"), "--speed", "600", *broker]) == 0
    assert (tmp_path / "through.csv").read_bytes() == (tmp_path / "straight.csv").read_bytes()
    assert len((tmp_path / "through.csv").read_text().splitlines()) == 4820


def test_a_replay_leaves_no_session_on_the_broker(replay, mosquitto_broker, tmp_path, monkeypatch):
    monkeypatch.setattr("daemon.through_mqtt.secrets.token_hex", lambda _: "known")
    replay(awkward_log(tmp_path / "a.csv"), "s.csv", *through(tmp_path, mosquitto_broker.port))
    present = []
    client = paho.Client(CallbackAPIVersion.VERSION2, "bmsd-replay-known", clean_session=False)
    client.on_connect = lambda _c, _d, flags, *_: present.append(flags.session_present)
    client.connect("127.0.0.1", mosquitto_broker.port)
    while not present:
        client.loop(0.1)
    client.disconnect()
    assert present == [False]


def test_an_absent_broker_is_said_with_its_address(replay, absent_broker, tmp_path, capsys):
    status, path = replay(awkward_log(tmp_path / "a.csv"), "s.csv", *through(tmp_path, absent_broker.port))
    assert status == 1
    assert f"127.0.0.1:{absent_broker.port}" in capsys.readouterr().err
    assert not path.exists()

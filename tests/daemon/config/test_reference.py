"""What people read about the configuration is made from the models, and stays so."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from daemon.cli import config as command
from daemon.config import Config, read, read_config
from daemon.config.reference import markdown, merged
from daemon.config.schema import leaves, node_at, schema

ROOT = Path(__file__).parents[3]


def keys(tree: object, path: tuple[object, ...] = ()) -> set[tuple[object, ...]]:
    if isinstance(tree, list):
        return {k for i, item in enumerate(tree) for k in keys(item, (*path, i))}
    if isinstance(tree, dict):
        return {k for name, item in tree.items() for k in keys(item, (*path, name))}
    return {path}


def test_config_yaml_names_every_key_with_its_default():
    shown = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert keys(shown) == keys(Config().model_dump(mode="json"))
    assert read_config(ROOT / "config.yaml", {}) == Config()


def test_docs_config_md_is_fresh():
    assert (ROOT / "docs" / "config.md").read_text() == markdown(), "make it anew: bmsd config --markdown"


def test_every_key_says_what_it_does():
    assert len(list(leaves())) > 40
    assert all(node.get("description", "").endswith(".") for _, node in leaves())


def test_the_schema_is_strict_in_every_section():
    assert all(section["additionalProperties"] is False for section in schema()["$defs"].values())
    assert node_at(("cells", "packs", 0, "clock")) is not None
    assert node_at(("mqtt", "nothing")) is None


def test_the_merged_configuration_reads_back_as_it_is_and_hides_secrets(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("mqtt: {username: '007', password: hunter2}\ncells: {packs: [{pattern: '*', cell_type: x}]}\n")
    reading = read(file, {"BMSD_MQTT__PORT": "1900"})
    text = merged(reading)
    assert "hunter2" not in text
    assert 'password: "***"' in text
    port = next(line for line in text.splitlines() if line.strip().startswith("port:"))
    assert port.split() == ["port:", "1900", "#", "BMSD_MQTT__PORT"]
    file.write_text(text.replace('"***"', "hunter2"))
    assert read_config(file, {}) == reading.config


@pytest.mark.parametrize("flag", ["--schema", "--markdown"])
def test_the_command_prints_what_it_is_asked_for(flag, capsys):
    import argparse

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert command.run(parser.parse_args([flag])) == 0
    assert "keepalive_second" in capsys.readouterr().out

"""Files that somebody else made: weights, facts of a cell, configuration. None runs code, none ends in a traceback."""

from __future__ import annotations

import ast
import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from daemon import models
from daemon.config import read_config
from daemon.errors import ConfigError, WeightsError
from estimators.cell_type import NETWORK_FILE, SHIPPED, TABLES_FILE

ROOT = Path(__file__).parents[2]
RUNS_CODE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "dbm"}
CALLS_CODE = {"eval", "exec", "compile", "__import__"}


def walk():
    for room in ("daemon", "estimators", "simulators", "benchmarks"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}", node


def dangerous(node: ast.AST) -> bool:
    match node:
        case ast.Import(names=names):
            return any(name.name.split(".")[0] in RUNS_CODE for name in names)
        case ast.ImportFrom(module=str(module)):
            return module.split(".")[0] in RUNS_CODE
        case ast.Call(func=ast.Name(id=name)):
            return name in CALLS_CODE
        case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr="load")):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name(id="yaml"), attr="load" | "unsafe_load" | "full_load")):
            return True
        case ast.keyword(arg="allow_pickle" | "shell", value=ast.Constant(value=value)):
            return value is not False
        case ast.Call(func=ast.Attribute(value=ast.Name(id="np"), attr="load"), keywords=keywords):
            return not any(keyword.arg == "allow_pickle" for keyword in keywords)
    return False


@pytest.mark.parametrize(
    "line", ["import joblib", "from pickle import loads", "eval(x)", "torch.load(x)", "np.load(x)"]
)
def test_the_search_below_finds(line):
    assert any(dangerous(node) for node in ast.walk(ast.parse(line)))


def test_nothing_that_we_read_can_run_code():
    assert [place for place, node in walk() if dangerous(node)] == []


def header(text: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text


def tensor(**changes) -> bytes:
    about = {"dtype": "F64", "shape": [1], "data_offsets": [0, 8], **changes}
    return header(json.dumps({"soc": about}).encode()) + bytes(8)


BROKEN = {
    "empty": b"",
    "text": b"not at all\n",
    "a pickle": b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R.",
    "longer than it is": header(b"{}", 2**63),
    "header of gigabytes": header(b"{}", 2**31),
    "nested": header(b"[" * 100_000),
    "outside the file": tensor(data_offsets=[0, 2**40]),
    "backwards": tensor(data_offsets=[8, 0]),
    "negative": tensor(shape=[-1]),
    "too many elements": tensor(shape=[2**62, 2**62]),
    "unknown type": tensor(dtype="OBJ"),
    "others' tensors": tensor(),
}


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(SHIPPED / "panasonic-18650pf", tmp_path / "mine"))


def refuses_all(folder: Path, name: str) -> None:
    """Load each estimator that reads a file; each is refused by name or does without it."""
    refused = []
    for estimator in models.MODELS:
        try:
            models.load(models.load_cell_type(str(folder), "--cell-type"), estimator)
        except WeightsError as err:
            refused.append(err)
    assert refused
    assert all(name in str(err) and err.mend for err in refused)


@pytest.mark.parametrize("file", [TABLES_FILE, NETWORK_FILE])
@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_damaged_or_hostile_weights_are_refused_in_words(folder, file, body):
    (folder / file).write_bytes(body)
    refuses_all(folder, file)


@pytest.mark.parametrize("file", [TABLES_FILE, NETWORK_FILE])
def test_weights_that_are_cut_off_anywhere_are_refused(folder, file):
    whole = (folder / file).read_bytes()
    for length in {8, 9, 100, len(whole) // 2, len(whole) - 1}:
        (folder / file).write_bytes(whole[:length])
        refuses_all(folder, file)


@pytest.mark.parametrize("file", [TABLES_FILE, NETWORK_FILE])
@pytest.mark.parametrize("harm", ["not finite", "other shape", "other type", "one is missing", "one too many"])
def test_weights_that_are_no_weights_are_refused(folder, file, harm):
    arrays = load_file(folder / file)
    name = next(iter(sorted(arrays, key=lambda k: -arrays[k].size)))
    match harm:
        case "not finite":
            arrays[name] = np.full_like(arrays[name], np.nan)
        case "other shape":
            arrays[name] = arrays[name].reshape(-1)[:-1].copy()
        case "other type":
            arrays[name] = np.zeros(arrays[name].shape, np.int8)
        case "one is missing":
            del arrays[name]
        case "one too many":
            arrays["network.more"] = np.zeros(3, np.float32)
    save_file(arrays, folder / file)
    refuses_all(folder, file)


FACTS = {
    "empty": b"",
    "list": b"- 1\n- 2\n",
    "text": b"hello\n",
    "runs code": b"name: !!python/object/apply:os.system ['true']\n",
    "not UTF-8": b"name: \xff\xfe\n",
    "open": b"name: [1, 2\n",
    "nested": b"name: " + b"[" * 20_000,
    "numbers for names": b"1: 2\n",
    "text for numbers": b"nominal_capacity_ah: many\n",
    "laughs": b"a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b]\n",
}


@pytest.mark.parametrize("body", FACTS.values(), ids=FACTS)
def test_facts_of_a_cell_that_are_none_are_refused_in_words(folder, body):
    good = (folder / "cell.yaml").read_bytes()
    lines = b"".join(k for k in good.splitlines(keepends=True) if not k.startswith(b"nominal_capacity_ah"))
    (folder / "cell.yaml").write_bytes(lines + body if body.startswith(b"nominal") else body)
    with pytest.raises((ConfigError, WeightsError)) as refused:
        models.load(models.load_cell_type(str(folder), "--cell-type"), "coulomb")
    assert "cell.yaml" in str(refused.value) or str(folder) in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "mqtt: !!python/object/apply:os.system ['true']\n",
        "mqtt: " + "[" * 20_000,
        "mqtt: " + "{a: " * 20_000,
        "a: &a [x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{k}: &{k} [*{p},*{p},*{p},*{p},*{p},*{p},*{p},*{p}]\n" for p, k in zip("abcdefg", "bcdefgh", strict=True)
        ),
        "\x00",
        "mqtt:\n  port: " + "9" * 100_000 + "\n",
        "? {a: b}\n: c\n",
        "? [1]\n: c\n",
        "mqtt: &m\n  host: *m\n",
    ],
    ids=["code", "lists", "mappings", "laughs", "null", "digits", "key-map", "key-list", "itself"],
)
def test_a_hostile_configuration_is_refused_in_words(tmp_path, text):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        read_config(file, {})

"""The page: whole, escaped, and at peace with a browser that has no network."""

import html.parser
import shutil
import subprocess

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="no matplotlib: pip install 'bmsd[plots]'")

from daemon.cli import main
from daemon.evaluate import CASES
from daemon.report import Subject, write
from daemon.scores import find
from estimators.cell_type import CellType
from tests.daemon.traces import run, trace

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NASTY = "25c_<script>alert('1')&amp;\"x"
LEARNING = "step,soc_loss,soh_loss,s1_11,s1_12\n0,1.0,0.5,1.0,0.0\n100,0.1,0.2,0.9,0.1\n"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Two short simulated logs, evaluated as a stranger does it."""
    folder = tmp_path_factory.mktemp("evaluated")
    logs = folder / "logs"
    logs.mkdir()
    words = ["--cells", "2", "--seconds", "1500", "--initial-soc", "0.9", "--seed", "3"]
    assert main(["simulate", "--log", str(logs / "25c_drive.csv"), *words]) == 0
    (logs / "25c_broken.csv").write_text("no,log\n1,2\n", encoding="utf-8")
    (folder / "learning.csv").write_text(LEARNING, encoding="utf-8")
    report = folder / "new" / "report.html"
    words = ["--data", str(logs), "--cell-type", "generic-nca", "--report", str(report)]
    assert main(["evaluate", "soc", *words, "--learning", str(folder / "learning.csv")]) == 0
    return report


class Outline(html.parser.HTMLParser):
    """What a page is made of."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.text, self.tags, self.addresses, self.pictures = [], "", [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        named = dict(attrs)
        self.ids += [named["id"]] if "id" in named else []
        self.addresses += [v for k, v in attrs if k in ("src", "href", "xlink:href", "srcset", "data")]
        self.pictures += [named.get("aria-label", "")] if tag == "svg" else []

    def handle_data(self, data):
        self.text += data


def written(path, subject, traces, switched=()):
    write(path, subject, find(traces, list(switched)), traces)
    return Outline(path.read_text(encoding="utf-8"))


def subject(**more):
    return Subject(
        CellType.load("generic-nca"), {"ekf": "ekf-1a2b3c4d"}, more.pop("runs", [run(900)]), {}, "bmsd", **more
    )


def cases_of(error, **more):
    return [trace(error, case=case.name, **more) for case in CASES]


def test_a_page_has_every_section_and_says_how_it_was_made(page):
    outline = Outline(page.read_text(encoding="utf-8"))
    sections = {"error", "coverage", "reliability", "region", "margin", "switch-on", "files", "learning", "made"}
    assert sections <= set(outline.ids)
    assert len(outline.ids) == len(set(outline.ids))
    for told in ("generic-nca", "ekf-", "coulomb", "Python 3", "bmsd ", "25c_drive", "25c_broken.csv", "UTC"):
        assert told in outline.text
    assert len(outline.pictures) == 5  # trust, recovery, two files, learning
    assert all(outline.pictures)


def test_a_page_asks_for_nothing_outside_of_itself(page):
    outline = Outline(page.read_text(encoding="utf-8"))
    assert outline.addresses
    assert all(address.startswith("#") for address in outline.addresses)
    assert not {"script", "link", "img", "iframe"} & set(outline.tags)
    assert page.stat().st_size < 1_000_000


def test_names_of_files_are_escaped_wherever_they_stand(tmp_path):
    about = subject(runs=[run(900, name=NASTY)], refused={NASTY: NASTY})
    outline = written(tmp_path / "r.html", about, cases_of(np.ones(900), name=NASTY))
    assert "script" not in outline.tags
    assert outline.text.count(NASTY) == 4  # heading, table, and what was not scored
    assert any(NASTY in says for says in outline.pictures)


def test_logs_without_a_label_make_a_page_without_scores(tmp_path):
    outline = written(tmp_path / "r.html", subject(), [trace(np.ones(900), truth=np.nan)])
    assert "None of the logs says what its SOC was" in outline.text
    assert "error" not in outline.ids
    assert len(outline.pictures) == 1


def test_what_was_not_done_has_no_section(tmp_path):
    outline = written(tmp_path / "r.html", subject(), cases_of(np.ones(900)))
    assert not {"switch-on", "learning", "margin"} & set(outline.ids)


def test_the_cell_types_own_learning_record_is_drawn(tmp_path):
    from dataclasses import replace

    own = replace(CellType.load("generic-nca"), folder=tmp_path)
    (tmp_path / "learning.csv").write_text(LEARNING, encoding="utf-8")
    about = replace(subject(), cell_type=own)
    assert "learning" in written(tmp_path / "r.html", about, cases_of(np.ones(900))).ids


def test_a_learning_record_that_is_not_there_is_refused_before_anything_is_computed(tmp_path, capsys):
    words = ["--data", str(tmp_path), "--cell-type", "generic-nca", "--report", str(tmp_path / "r.html")]
    assert main(["evaluate", "soc", *words, "--learning", str(tmp_path / "none.csv")]) == 2
    assert "--learning" in capsys.readouterr().err


@pytest.mark.service
@pytest.mark.skipif(CHROMIUM is None, reason="no browser: apt-get install chromium")
def test_a_browser_shows_it_without_asking_the_network(page, tmp_path):
    words = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    words += ["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--dump-dom"]
    done = subprocess.run([CHROMIUM, *words, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    outline = Outline(done.stdout)
    assert {"error", "switch-on", "files", "made"} <= set(outline.ids)
    assert outline.tags.count("svg") == 5
    assert "Content Security Policy" not in done.stderr
    assert "CONSOLE" not in done.stderr

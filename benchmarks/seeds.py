"""The median over several trainings: `bmsd evaluate soc` of each cell type folder, their figures side by side.

    python benchmarks/seeds.py seed-1/ seed-2/ seed-3/ --data $BMSD_DATA/panasonic-18650pf --split test --switch-on

Whatever follows the folders goes to `bmsd evaluate`. Each figure: median (smallest to largest); `--json` has the
medians of all figures, also by region of SOC.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from statistics import median

KEY = ("table", "estimator", "case", "soc", "ambient_temperature_celsius", "mean_over_temperatures", "starts")
PRINTED = ("mae_point", "max_point", "inside_90", "median_minute", "p90_minute", "never")


def evaluated(folder: str, model: str, words: list[str]) -> dict[tuple[object, ...], dict[str, float]]:
    """Evaluate one folder: what a row is about -> its figures; a time that never came is infinite."""
    command = [sys.executable, "-m", "daemon.cli", "evaluate", model, "--cell-type", folder, "--json", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    rows = map(json.loads, done.stdout.splitlines())
    return {
        tuple(row.get(name) for name in KEY): {
            name: float("inf") if value is None else value for name, value in row.items() if name not in KEY
        }
        for row in rows
    }


def main() -> None:
    """Evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", metavar="FOLDER")
    parser.add_argument("--model", default="soc")
    parser.add_argument("--json", action="store_true", help="the medians as one JSON object a line")
    args, words = parser.parse_known_args()
    if not args.folders:
        print("seeds: name the cell type folders of the trainings that are to be compared")
        return
    found = [evaluated(folder, args.model, words) for folder in args.folders]
    for key in found[0]:
        about = dict(zip(KEY, key, strict=True))
        figures = {name: [one[key][name] for one in found if key in one] for name in found[0][key]}
        if args.json:
            medians = {n: m if (m := median(v)) != float("inf") else None for n, v in figures.items()}
            print(json.dumps({n: v for n, v in about.items() if v is not None} | medians))
        elif (
            about["table"] != "reliability"
            and about["soc"] in (None, "all")
            and (told := [n for n in figures if n in PRINTED])
        ):
            celsius = about["ambient_temperature_celsius"]
            place = "mean" if about["mean_over_temperatures"] else f"{celsius:g} °C" if celsius is not None else "? °C"
            said = (f"{n} {median(figures[n]):.3g} ({min(figures[n]):.3g}-{max(figures[n]):.3g})" for n in told)
            print(f"{about['estimator']:13}{about['case'] or 'switched on':16}{place:7}", "  ".join(said))


if __name__ == "__main__":
    main()

"""Run the mutations for longer: ``python -m tests.fuzz --seconds 600``."""

import argparse
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.campaign import Report, campaign, cores
from tests.fuzz.seeds import build


def main() -> int:
    """Print the report; returns 1 if there are faults."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="Time of the campaign. Default: 600.")
    parser.add_argument("--seed", type=int, default=1_000_000, help="First seed. Default: 1000000.")
    parser.add_argument("--case", nargs="+", metavar="NAME", help="Cases to run. Default: all.")
    parser.add_argument("--output", type=Path, default=Path("out/fuzz"), help="Folder for inputs that cause faults.")
    parser.add_argument("--accepted", action="store_true", help="Print the inputs that were accepted.")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        cases = [case for case in build(Path(folder)) if not options.case or case.name in options.case]
        with ThreadPoolExecutor(cores()) as pool:
            starts = [options.seed + 1_000_000 * number for number in range(cores())]
            parts = [
                pool.submit(campaign, cases, Path(folder), options.seconds, start, options.output) for start in starts
            ]
            report = Report()
            for part in parts:
                done = part.result()
                report.statuses += done.statuses
                report.faults += done.faults
                report.accepted += done.accepted
    print(report)
    if options.accepted:
        print("\n".join(report.accepted))
    return 1 if report.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())

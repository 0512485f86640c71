"""Jobs files with hostile rows beside a good one.

`python -m tests.faults.rows --seeds 0-99` makes jobs files by Hypothesis: CSV, JSONL and Parquet over all schemes,
names, numbers, servers and entries of file systems. For every seed it runs a few, and stops one by Ctrl-C at a random
moment of its planning. Wrong are: a good job that is not done; an exception, or an error in a row, that is not one of
troupe's own; more than 1.5 GB of memory in the process; more than 5 s from Ctrl-C to the end. Exits with 1 then.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time

from bench.support.machine import peak_memory
from tests.faults.rows.trial import trials
from troupe.process.memory import limit_arenas
from troupe.process.scratch import scratch_folder


def main() -> int:
    """Run the seeds; return the exit code."""
    limit_arenas()  # as the command line does
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0-9", help="first and last")
    first, _, last = parser.parse_args().seeds.partition("-")
    logging.getLogger().setLevel(logging.ERROR)
    with scratch_folder() as folder, trials(folder) as found:
        for seed in range(int(first), int(last or first) + 1):
            started, known = time.monotonic(), len(found.wrong)
            found.run(seed)
            print(f"seed {seed}: {time.monotonic() - started:.1f} s", flush=True)
            for line in found.wrong[known:]:
                print(f"  WRONG {line[:2000]}", flush=True)
    memory = peak_memory() // 2**20
    print(f"{dict(sorted(found.kinds.items()))}; slowest run {found.seconds:.1f} s, slowest stop ", end="")
    print(f"{found.stop_seconds:.1f} s, {memory} MB; {len(found.wrong)} wrong")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

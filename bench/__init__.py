"""What is measured, one command each.

- `python -m bench.sampler`: frames a second, and how far that is from the least work and the machine's limit
- `python -m bench.memory`: peak memory against the clip's length
- `python -m bench.load`: seconds and memory until a model is ready
- `python -m bench.end_to_end`: the whole path against the bare animator
- `python -m bench.engine`: jobs a second and the driver's memory with an animator that does nothing
- `python -m bench.catalog`: seconds, memory and requests of questions to a million rows
- `python -m bench.page`: how quick a report of 1000 jobs is in a browser
- `python -m bench.training`: that learning learns, and that stops and workers change nothing
- `python -m bench.miniature`: what the shipped model paints, against the truth: likeness, acting, ablations, presets
- `python -m bench.witness FOLDER`: trains the network that reads its performances and knows its people

Each prints a table, and with `--json FILE` writes the same for programs (`bench.report`). What they gave on which
machine is told in docs/performance.md.
"""

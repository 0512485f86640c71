"""Benchmarks, one command each.

- `python -m bench.models.sampler`: frames per second, against the minimum operations and the machine's limit
- `python -m bench.models.memory`: peak memory against the clip's length
- `python -m bench.models.load`: seconds and memory to load a model
- `python -m bench.gpu`: all that only a machine with a GPU can measure, on one page
- `python -m bench.media`: frames per second of decoding, tracking and cropping a clip
- `python -m bench.end_to_end`: the whole pipeline against the bare animator
- `python -m bench.engine`: jobs per second and the driver's memory with an animator that does nothing
- `python -m bench.store.catalog`: seconds, memory and requests per query of a million rows
- `python -m bench.store.report_page`: seconds to open, sort and search a report of 1000 jobs in a browser
- `python -m bench.models.synthetic`: how fast the synthetic world is drawn, and contact sheets of it
- `python -m bench.tracks`: tracks of real clips: gaps, cuts and identity switches, with pictures
- `python -m bench.models.paste_back`: what pasting back changes in the portrait, with pictures
- `python -m bench.models.training`: training and fine-tuning converge; stops and workers do not change the result
- `python -m bench.models.neighbours`: two processes that share the cores, by how their threads wait
- `python -m bench.models.savings`: what settings of the sampler that save work lose
- `python -m bench.models.ablations`: what every part of the miniature contributes, with standard errors
- `python -m bench.models.distilled`: how close the preset `fast` comes to `exact`
- `python -m bench.dubbing`: ten languages of one picture against one job
- `python -m bench.sync`: whether displaced and exchanged sounds are found, and what stretching does to the motion
- `python -m bench.voice`: lips by sound: does the mouth follow the sound, and all else the driver
- `python -m bench.signing`: what Content Credentials cost
- `python -m bench.watermark`: what the watermark survives, and what it costs
- `python -m bench.miniature`: the shipped model's output against the truth: likeness, acting, variants

Each prints a table, and with `--json FILE` also writes JSON (`bench.support.report`). docs/performance.md lists the
results by machine. `python -m bench.support.judge FOLDER` trains the network that judges the miniature's output.
"""

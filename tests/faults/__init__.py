"""Fault injection on real runs: long series are commands with seeds, CI runs a few.

python -m tests.faults.kill --seeds 0-29     SIGKILL at random moments, resume, compare with an undisturbed run
python -m tests.faults.cancel                Ctrl-C, SIGTERM and Prefect's cancellation in every stage
python -m tests.faults.storm --seeds 0-4     an S3 endpoint that fails, and two drivers; `--ray N` of them use Ray
python -m tests.faults.office                proxies, dead servers, hostile file names, first starts at once
python -m tests.faults.rows --seeds 0-99       hostile rows and inputs beside a good job, and Ctrl-C while planning
python -m tests.faults.schedule              a server, a worker, deployments: triggered, on a cron, cancelled

The first three take `--at-once N`: render workers then have N pictures at once, as on a GPU.
"""

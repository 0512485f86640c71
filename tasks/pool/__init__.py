"""Workers that do the work of a run: Ray's actors, or this process itself.

A `WorkItem` names a method of a `Role`'s worker; `submit` gives a Future for it. What must come first, what a
worker holds already and what takes longest decide the order; the class of an error decides what happens next:

    InputError, WeightsError, …    the work fails with that very error; nothing is tried again
    StoreError                     tried again, three times in all, with growing pauses
    OutOfMemory                    tried once more, alone on a fresh process
    longer than its timeout        the worker is replaced, the work run again alone; then it fails with Overdue
    the process died               what it had is run again, each alone; what kills again fails with WorkerLost
    a bug                          the work fails with a TroupeError that quotes the traceback's end
    the constructor failed         the whole role fails with that error

    with RayPool([Role("animate", AnimatorWorker, (weights,), workers=1, cpus=2, threads=2)]) as pool:
        future = pool.submit(Work("render/ab12", "animate", "render", (job,), holds=identity, cost=frames))
        future.result()

`work` what is asked · `messages` what scheduler and workers tell each other · `backlog` and `scheduler` decide,
without clock and threads · `transport` carries out: `local` here, `actors` in Ray · `base` joins them ·
`echo` brings home what workers log.
"""

from tasks.pool.base import Pool
from tasks.pool.local_pool import LocalPool
from tasks.pool.ray_pool import Node, RayPool, cluster_nodes
from tasks.pool.work_item import Role, Stats, WorkItem

__all__ = ["LocalPool", "Node", "Pool", "RayPool", "Role", "Stats", "WorkItem", "cluster_nodes"]

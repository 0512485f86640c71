"""A pool of workers that executes work items: as Ray actors, or in this process.

A `WorkItem` names a method of a `Role`'s worker; `submit` returns a Future for its result. Dependencies, affinity and
cost decide the order; the class of an error decides what happens next:

    InputError, WeightsError, …    the item fails with this error; it is not retried
    StoreError                     retried, three attempts in all, with growing pauses
    OutOfMemory                    retried once, alone on a fresh process
    longer than its timeout        the worker is replaced and the item retried alone; then it fails with Overdue
    the process died               its items are retried, each alone; an item that kills again fails with WorkerLost
    a bug                          the item fails with a TroupeError that quotes the end of the traceback
    the constructor failed         every item of the role fails with this error

    with RayPool([Role("resize", Resizer, (size,), workers=2, cpus=2, threads=2)]) as pool:
        future = pool.submit(WorkItem("resize/ab12", "resize", Resizer.resize, (uri,), affinity_key=album, cost=pixels))
        future.result()

`work_item` holds what callers submit, `messages` the commands and events between scheduler and transport.
`scheduler`, `role_queue` and `priority_queue` decide, without clock or threads. A `transport` executes: `local_pool` in
this process, `ray_transport` (with `ray_runtime` and `ray_actor`) on Ray. `base` joins the two. `call` runs a method in
the worker's process and `log_forwarding` returns what it logged. What a method reports with `report_progress` goes to
`on_progress`.
"""

from tasks.pool.base import Pool
from tasks.pool.local_pool import LocalPool
from tasks.pool.ray_pool import Node, RayPool, cluster_nodes
from tasks.pool.work_item import Role, WorkItem

__all__ = ["LocalPool", "Node", "Pool", "RayPool", "Role", "WorkItem", "cluster_nodes"]

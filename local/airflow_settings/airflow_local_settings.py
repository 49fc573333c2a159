"""Has Airflow's scheduler import the pod operator before it starts its workers; Airflow imports this module by name.

The workers, and the process of every task, are forks of the scheduler: what it has imported they need not. Without
this each task spends 0.8 s of a free core, and up to 3 s of a busy one, on importing the Kubernetes client.
"""

import sys

if "scheduler" in sys.argv:
    import airflow.providers.cncf.kubernetes.operators.pod
    import airflow.providers.cncf.kubernetes.secret  # noqa: F401

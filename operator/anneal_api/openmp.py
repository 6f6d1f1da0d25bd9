"""OpenMP on the CPUs of a pod: how long threads that wait for each other stay awake (docs/decisions/0008)."""

SPIN_VARIABLE = "GOMP_SPINCOUNT"
SPIN_COUNT = "5000"
"""About 0.2 ms. By default threads spin for milliseconds, and where the CPUs are shared (a pod's are) they take the
time that the others need. Those that sleep at once pay a wake-up for each of a step's 10,000 operators."""

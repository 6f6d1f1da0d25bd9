"""`anneal`, also as `kubectl anneal`: see, follow, ask and steer FineTuneJobs and ModelDeployments.

Exit codes: 0 ok; 1 the resource failed or the command could not do its work; 2 wrong usage; 124 `--timeout` passed;
130 interrupted. Needs only the caller's own kubeconfig and rights; imports nothing of the operator.
"""

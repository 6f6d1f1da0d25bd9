"""The only package that imports kopf (with __main__): watch, queue, reconcile."""

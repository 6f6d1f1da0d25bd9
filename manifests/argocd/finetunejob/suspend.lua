-- The running pod saves a checkpoint and ends.
obj.spec.suspend = true
return obj

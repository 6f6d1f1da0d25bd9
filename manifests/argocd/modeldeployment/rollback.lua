-- While a new revision is being started, or after it failed, the one that serves; else the one that served before it.
local status = obj.status
local target = status.previous
if status.next or status.failed then
  target = status.stable
end
obj.spec.model = {uri = target.artifact.uri, digest = target.artifact.digest}
return obj

-- Going back is offered where only the model changed: what else a revision was made from is text that Lua here cannot
-- read. `anneal rollback` and `git revert` go back from any change.
local status = obj.status or {}
local newest = status.next or status.failed or status.stable
local target = status.previous
if status.next or status.failed then
  target = status.stable
end
local known = newest ~= nil and target ~= nil and status.observedGeneration == obj.metadata.generation
local possible = known and target.settings ~= nil and target.settings ~= "" and target.settings == newest.settings
return {rollback = {disabled = not possible}}

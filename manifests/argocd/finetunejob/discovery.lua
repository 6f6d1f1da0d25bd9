-- Which actions make sense now. A run that is under way may be suspended; its runId may not change.
local suspended = obj.spec.suspend == true
local run = (obj.status or {}).run or {}
local over = run.state == "Succeeded" or run.state == "Failed"
return {
  suspend = {disabled = suspended or over},
  resume = {disabled = not suspended},
  retry = {disabled = suspended or not over},
}

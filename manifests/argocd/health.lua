-- Health of a FineTuneJob or a ModelDeployment, from the conditions that `kubectl wait`, Helm and Flux read too.
local conditions = {}
for _, condition in ipairs((obj.status or {}).conditions or {}) do
  conditions[condition.type] = condition
end

local function holds(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end

local function health(status, condition)
  return {status = status, message = condition.reason .. ": " .. (condition.message or "")}
end

local ready = conditions.Ready
if ready == nil or ready.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "The operator has not seen this generation yet"}
end
if holds("Stalled") then
  return health("Degraded", conditions.Stalled)
end
-- What Git asks for does not serve, though the revision before it does.
if holds("RolledBack") then
  return health("Degraded", conditions.RolledBack)
end
if ready.reason == "Suspended" then
  return health("Suspended", ready)
end
if ready.status == "True" then
  return health("Healthy", ready)
end
return health("Progressing", ready)

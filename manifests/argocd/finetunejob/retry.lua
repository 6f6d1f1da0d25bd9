-- A new runId is a new run of the same spec, with its own folder in the output.
local os = require("os")
obj.spec.runId = os.date("!%Y%m%d-%H%M%S")
return obj

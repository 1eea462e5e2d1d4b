-- Health of FineTuneJob and ModelVersion in Argo CD, by the same conditions that kstatus (Flux, `kubectl wait`, kpt) reads. What kstatus
-- calls InProgress is Progressing here, or Suspended where `spec.suspend` is what is waited for. argocd-cm.yaml installs it.

local function health(status, message)
  return { status = status, message = message }
end

if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", "it is being deleted")
end

local status = obj.status or {}
if obj.metadata.generation ~= nil and status.observedGeneration ~= nil and obj.metadata.generation ~= status.observedGeneration then
  return health("Progressing", "the operator has not seen the latest change yet")
end

local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition
end

local function holds(type)
  return found[type] ~= nil and found[type].status == "True"
end

local function said(type)
  local condition = found[type]
  if condition.message == nil or condition.message == "" then
    return condition.reason
  end
  return condition.reason .. ": " .. condition.message
end

if holds("Stalled") then
  return health("Degraded", said("Stalled"))
end
if holds("Failed") then
  return health("Degraded", said("Failed"))
end
if holds("Suspended") then
  return health("Suspended", said("Suspended"))
end
if holds("Reconciling") then
  return health("Progressing", said("Reconciling"))
end
if found["Ready"] ~= nil then
  if holds("Ready") then
    return health("Healthy", said("Ready"))
  end
  return health("Progressing", said("Ready"))
end
if obj.kind == "FineTuneJob" then
  return health("Progressing", "the operator has not seen it yet")
end
-- A ModelVersion is a record: there is nothing to be done for it.
return health("Healthy", "it is in the registry")

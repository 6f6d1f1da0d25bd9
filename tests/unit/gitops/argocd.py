"""Runs the scripts of argocd-cm.yaml as Argo CD does: Lua 5.1 with its base and table libraries, and a clock."""

import time
from pathlib import Path
from typing import Any

import yaml
from lupa.lua51 import LuaRuntime, lua_type

from tests.factories import Object

CONFIG = Path(__file__).parents[3] / "manifests" / "argocd" / "argocd-cm.yaml"
ALLOWED = ("package", "require", "table", "assert", "error", "ipairs", "pairs", "next", "pcall", "select", "tonumber",
           "tostring", "type", "unpack", "_G")


def key(what: str, obj: Object) -> str:
    """The ConfigMap's key for a kind."""
    return f"resource.customizations.{what}.{obj['apiVersion'].split('/')[0]}_{obj['kind']}"


def data() -> dict[str, str]:
    """The ConfigMap's entries."""
    found: dict[str, str] = yaml.safe_load(CONFIG.read_text())["data"]
    return found


def run(script: str, obj: Object) -> Any:
    """What the script returns for this object."""
    lua = LuaRuntime(register_eval=False, register_builtins=False, unpack_returned_tuples=True)
    for name in list(lua.globals().keys()):
        if name not in ALLOWED:
            lua.globals()[name] = None
    clock = lua.table_from({"time": time.time, "date": lambda form: time.strftime(form.lstrip("!"), time.gmtime())})
    lua.globals().package.loaded = lua.table_from({})
    lua.globals().package.preload = lua.table_from({"os": lambda *_: clock})
    lua.globals().obj = to_lua(lua, obj)
    return from_lua(lua.execute(script))


def to_lua(lua: LuaRuntime, value: Any) -> Any:
    if isinstance(value, dict):
        return lua.table_from({name: to_lua(lua, item) for name, item in value.items()})
    if isinstance(value, list):
        return lua.table_from([to_lua(lua, item) for item in value])
    return value


def from_lua(value: Any) -> Any:
    """An empty table becomes an empty list, as in Argo CD; a patch is merged with the object, so nothing is lost."""
    if lua_type(value) != "table":
        return value
    keys = list(value.keys())
    if keys == list(range(1, len(keys) + 1)):
        return [from_lua(value[number]) for number in keys]
    return {name: from_lua(value[name]) for name in keys}


def health(obj: Object) -> Object:
    """Status and message."""
    found: Object = run(data()[key("health", obj)], obj)
    return found


def actions(obj: Object) -> set[str]:
    """Names of the actions that are offered now."""
    found = run(yaml.safe_load(data()[key("actions", obj)])["discovery.lua"], obj)
    return {name for name, entry in found.items() if not entry["disabled"]}


def act(obj: Object, name: str) -> Object:
    """The object as an action would have it."""
    definitions = yaml.safe_load(data()[key("actions", obj)])["definitions"]
    (script,) = (entry["action.lua"] for entry in definitions if entry["name"] == name)
    found: Object = run(script, obj)
    return found

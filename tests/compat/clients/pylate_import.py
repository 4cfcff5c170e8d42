"""PyLate: its package and every module in it."""

import importlib
import json
import pkgutil

import pylate

failed = {}
for module in pkgutil.walk_packages(pylate.__path__, "pylate."):
    try:
        importlib.import_module(module.name)
    except Exception as error:
        failed[module.name] = f"{type(error).__name__}: {error}"
print(json.dumps({"failed": failed, "names": sorted(name for name in dir(pylate) if name[0] != "_")}))

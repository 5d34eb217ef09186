"""Run in the client's own environment: calls a MONAILabelClient as a test asks, a line of JSON each way."""

import importlib.util
import json
import sys


def client_class(where):
    if where == "monailabel":
        from monailabel.client import MONAILabelClient

        return MONAILabelClient
    spec = importlib.util.spec_from_file_location("slicer_client", where)  # the file that 3D Slicer's module imports
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.MONAILabelClient


def main():
    where, server, folder, name = sys.argv[1:]
    client = client_class(where)(server, tmpdir=folder, client_id=name)
    for line in sys.stdin:
        method, arguments, named = json.loads(line)
        try:
            answer = {"result": getattr(client, method)(*arguments, **named)}
        except Exception as error:
            answer = {"error": str(getattr(error, "msg", error)), "kind": type(error).__name__}
        print(json.dumps(answer, default=lambda value: value.decode("utf-8", "replace")), flush=True)


main()

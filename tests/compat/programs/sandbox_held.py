"""From inside a sandbox on the machine's network: what of the server can be reached without a token."""

import os
import sys

import modal

app = modal.App.lookup("compat-sandbox-held", create_if_missing=True)
LOOK = """
import json, os, sys, urllib.error, urllib.request
answers = {}
for path in json.loads(sys.argv[2]):
    method, _, route = path.partition(" ")
    request = urllib.request.Request(sys.argv[1] + route, method=method, data=b"{}" if method in ("POST", "PUT") else None)
    try:
        answers[path] = urllib.request.urlopen(request, timeout=10).status
    except urllib.error.HTTPError as error:
        answers[path] = error.code
print(json.dumps(answers))
print(json.dumps(sorted(k for k in os.environ if k.startswith(("FREEHOLD", "MODAL")))))
print(json.dumps([p for p in sys.argv[3:] if os.path.lexists(p)]))
"""
url, routes, *paths = sys.argv[1:]
sb = modal.Sandbox.create(app=app)
p = sb.exec("python", "-c", LOOK, url, routes, *paths)
print(p.stdout.read(), p.stderr.read())
assert p.wait() == 0
sb.terminate()
assert "FREEHOLD_HOME" in os.environ

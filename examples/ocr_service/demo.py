"""`make demo`: start Freehold, deploy the OCR service, read a scanned page over HTTP, and show what happened.

Uses what anybody would: the `freehold` command, and HTTP. Run again, it skips what is done.
"""

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from ocr_service.ocr_client import OCRClient  # noqa: E402 (found by the line above)

APP = "ocr-service"
_TIMEOUT_S = 180.0


def main() -> None:
    begun = time.monotonic()
    page = sample_page()
    status = server()
    step("deploying examples/ocr_service (its image is built the first time)")
    freehold("deploy", str(HERE / "app.py"), echo=True)
    view = listing("app", "show", APP)
    url = next(url for function in view["functions"] for url in function["endpoints"].values())
    step(f"posting {page.name} ({page.stat().st_size // 1024} KiB) to {url}/predict")
    sent = time.monotonic()
    result = OCRClient(url, timeout=_TIMEOUT_S).predict(page.read_bytes(), language="english")
    took = time.monotonic() - sent
    if result["status"] != "success":
        sys.exit(f"error: the page could not be read: {result.get('error')}; see: freehold app logs {APP}")
    print(f"\n{result['full_text']}\n")
    step(f"{len(result['text_boxes'])} lines read in {took:.2f} s; how the instance that read them started:")
    instance = listing("instance", "list", "--app", APP)[0]
    print(freehold("instance", "show", instance["id"]))
    print(f"done in {time.monotonic() - begun:.1f} s\n")
    farewell(url, status)


def sample_page() -> Path:
    """Return the scanned page that scikit-image ships; the package itself is not imported."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        sys.exit("error: the sample page is not here: run `make demo`, which fetches it")
    return Path(spec.origin).parent / "data" / "page.png"


def server() -> dict[str, Any]:
    """Return the status of the server of this home, started when it is not up."""
    known = subprocess.run([*COMMAND, "status", "--json"], capture_output=True, text=True, check=False)
    if known.returncode == 3:
        step("starting the server")
        freehold("up", "--detach")
        return listing("status")
    if known.returncode:
        sys.exit(known.stderr.strip())
    step("the server is up already")
    return json.loads(known.stdout)


def farewell(url: str, status: dict[str, Any]) -> None:
    link = freehold("status", "--link").strip()
    program = Path(sys.executable).parent / "freehold"
    print(f"endpoint    {url}")
    print(f"try         curl -F image=@{sample_page()} -F language=english {url}/predict")
    print(f"dashboard   {status['url']}")
    print(f"sign in     {link}  (good once, for ten minutes; another: {program} status --link)")
    print(f"stop it     {program} down")


def listing(*words: str) -> Any:
    return json.loads(freehold(*words, "--json"))


def freehold(*words: str, echo: bool = False) -> str:
    """Run a `freehold` command and return what it prints; its failure is the demo's."""
    done = subprocess.run([*COMMAND, *words], stdout=None if echo else subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: `freehold {' '.join(words)}` ended with {done.returncode}")
    return done.stdout or ""


def step(words: str) -> None:
    print(f"==> {words}", flush=True)


COMMAND = [sys.executable, "-m", "freehold.cli.main"]

if __name__ == "__main__":
    main()

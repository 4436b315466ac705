"""`OCRClient`: asks an OCR model server over HTTP. Its address comes from OCR_MODEL_SERVER_URL."""

import json
import logging
import os
import urllib.error
import urllib.request
import uuid
from functools import cache
from typing import Any

logger = logging.getLogger(__name__)

DEFAULT_URL = "http://localhost:8001"


class OCRClient:
    """A client that never raises: a failure is a result with `status` "failed" and the reason as `error`."""

    def __init__(self, base_url: str | None = None, timeout: float | None = None) -> None:
        self.base_url = (base_url or os.environ.get("OCR_MODEL_SERVER_URL") or DEFAULT_URL).rstrip("/")
        self.timeout = timeout if timeout is not None else float(os.environ.get("MODEL_SERVER_TIMEOUT", "60"))

    def predict(
        self, image_data: bytes, confidence_threshold: float = 0.5, language: str = "korean", use_angle_cls: bool = True
    ) -> dict[str, Any]:
        """Read the text of an encoded image."""
        fields = {
            "language": language,
            "confidence_threshold": str(confidence_threshold),
            "use_angle_cls": str(use_angle_cls).lower(),
        }
        body, content_type = _multipart(fields, image_data)
        request = urllib.request.Request(f"{self.base_url}/predict", body, {"Content-Type": content_type})  # noqa: S310 (the operator's own URL)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return _failed(f"Server error: {error.code} {_reason(error)}")
        except TimeoutError:
            return _failed("Timeout")
        except OSError as error:
            return _failed("Timeout" if isinstance(getattr(error, "reason", None), TimeoutError) else str(error))

    def health_check(self) -> bool:
        """Tell whether the server answers."""
        try:
            with urllib.request.urlopen(f"{self.base_url}/health", timeout=5) as answer:  # noqa: S310 (the operator's own URL)
                return answer.status == 200
        except OSError:
            return False


@cache
def get_ocr_client() -> OCRClient:
    """Return the one client of this process."""
    return OCRClient()


def _multipart(fields: dict[str, str], image_data: bytes) -> tuple[bytes, str]:
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="image.png"\r\nContent-Type: image/png\r\n\r\n'
    return b"".join(
        [*parts, head.encode(), image_data, f"\r\n--{boundary}--\r\n".encode()]
    ), f"multipart/form-data; boundary={boundary}"


def _reason(error: urllib.error.HTTPError) -> str:
    """Read `{"error": "…"}` of the service, or `{"error": {"message": "…"}}` of the platform in front of it."""
    try:
        reason: Any = json.load(error)["error"]
    except (ValueError, KeyError, TypeError):
        return ""
    return reason if isinstance(reason, str) else str(reason.get("message", ""))


def _failed(reason: str) -> dict[str, Any]:
    logger.error("OCR request failed: %s", reason)
    return {"text_boxes": [], "full_text": "", "status": "failed", "error": reason}

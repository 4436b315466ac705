"""`OcrModel`: one model with engines behind it, chosen by language. Runs with and without Freehold."""

import importlib
import io
import threading
import time
from collections.abc import Mapping
from typing import Any

from .engines import Engine, MissingEngineError, RapidEngine, TesseractEngine, TextBox

KOREAN = frozenset({"korean", "ko", "kor"})
OTHERS = frozenset({"english", "en", "eng", "chinese", "ch", "zh", "japanese", "ja", "jpn", "latin"})


class OcrModel:
    """Reads images. `predict` may be called from several threads; it reads one image at a time."""

    def __init__(self, engines: Mapping[str, Engine] | None = None) -> None:
        self._engines = dict(engines or {})
        self._lock = threading.Lock()
        self.predictions = 0
        self.failures = 0
        self.seconds = 0.0

    @property
    def is_loaded(self) -> bool:
        return bool(self._engines)

    def load(self, *, threads: int = 1) -> None:
        """Load the built-in models; Korean is added when it is first asked for."""
        self._engines["latin"] = RapidEngine(threads=threads)

    def predict(
        self,
        image_data: bytes,
        language: str = "korean",
        confidence_threshold: float = 0.5,
        use_angle_cls: bool = True,
    ) -> dict[str, Any]:
        """Read the text of an encoded image.

        Returns:
            `text_boxes` (each with `text`, `confidence` from 0 to 1 and the corners `box` in pixels), `full_text` (its lines)
            and `status`: "success", or "failed" with the reason as `error`.
        """
        begun = time.perf_counter()
        try:
            with self._lock:
                lines = self._engine(language).read(decode(image_data), use_angle_cls=use_angle_cls)
        except (ValueError, MissingEngineError) as error:
            self.failures += 1
            return failed(str(error))
        self.predictions += 1
        self.seconds += time.perf_counter() - begun
        return succeeded([line for line in lines if line.confidence >= confidence_threshold])

    def _engine(self, language: str) -> Engine:
        name = language.lower()
        if name not in KOREAN | OTHERS:
            known = ", ".join(sorted(KOREAN | OTHERS))
            raise MissingEngineError(f"no engine reads language {language!r}; known: {known}")
        kind = "korean" if name in KOREAN else "latin"
        if kind not in self._engines:
            if "latin" not in self._engines:
                self.load()
            if kind == "korean":
                rapid = self._engines["latin"]
                assert isinstance(rapid, RapidEngine)
                self._engines[kind] = TesseractEngine(rapid)
        return self._engines[kind]


def decode(image_data: bytes) -> Any:
    """Decode PNG, JPEG, WebP, TIFF or BMP bytes to an upright BGR array. Raises ValueError when they are none."""
    numpy: Any = importlib.import_module("numpy")
    image: Any = importlib.import_module("PIL.Image")
    try:
        upright = importlib.import_module("PIL.ImageOps").exif_transpose(image.open(io.BytesIO(image_data)))
        return numpy.ascontiguousarray(numpy.asarray(upright.convert("RGB"))[:, :, ::-1])
    except (OSError, SyntaxError, ValueError, image.DecompressionBombError):
        raise ValueError(
            f"the {len(image_data)} bytes sent are no image that can be read; send PNG, JPEG, WebP, TIFF or BMP"
        ) from None


def succeeded(lines: list[TextBox]) -> dict[str, Any]:
    boxes = [
        {"text": line.text, "confidence": round(line.confidence, 4), "box": [list(p) for p in line.box]}
        for line in lines
    ]
    return {"text_boxes": boxes, "full_text": "\n".join(line.text for line in lines), "status": "success"}


def failed(reason: str) -> dict[str, Any]:
    return {"text_boxes": [], "full_text": "", "status": "failed", "error": reason}

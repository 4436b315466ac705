"""`OcrModel`: one model with engines behind it, chosen by language. Runs with and without Freehold."""

import importlib
import io
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .engines import Engine, MissingEngineError, RapidEngine, TesseractEngine, TextBox

KOREAN = frozenset({"korean", "ko", "kor"})
OTHERS = frozenset({"english", "en", "eng", "chinese", "ch", "zh", "japanese", "ja", "jpn", "latin"})
_MOST_PX = 3000  # of the longer side: A4 at 256 dots an inch
_MOST_PIXELS = 100_000_000  # A3 at 600 dots an inch has 70 million
_LEAST_PX = 8  # of the shorter side: no letter is smaller


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
                engine = self._engine(language)
                page, shrunk = decode(image_data)
                lines = engine.read(page, use_angle_cls=use_angle_cls) if min(page.shape[:2]) >= _LEAST_PX else []
        except (ValueError, MissingEngineError) as error:
            self.failures += 1
            return failed(str(error))
        self.predictions += 1
        self.seconds += time.perf_counter() - begun
        return succeeded([enlarged(line, shrunk) for line in lines if line.confidence >= confidence_threshold])

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


def decode(image_data: bytes) -> tuple[Any, int]:
    """Decode PNG, JPEG, WebP, TIFF or BMP bytes to an upright BGR array; what is transparent is white, as paper is.

    A large image is shrunk by a whole number, which comes with it: engines look at no more pixels, and memory has its bound.
    Raises ValueError when the bytes are no image, or one of too many pixels.
    """
    numpy: Any = importlib.import_module("numpy")
    image: Any = importlib.import_module("PIL.Image")
    try:
        picture = image.open(io.BytesIO(image_data))
    except image.DecompressionBombError:
        raise _too_large() from None
    except (OSError, SyntaxError, ValueError):
        raise _unreadable(image_data) from None
    if picture.width * picture.height > _MOST_PIXELS:
        raise _too_large()
    try:
        importlib.import_module("PIL.ImageOps").exif_transpose(picture, in_place=True)
        page, shrunk = _shrunk(picture)
        if page.has_transparency_data:
            seen = page.convert("RGBA")
            page = image.alpha_composite(image.new("RGBA", seen.size, "white"), seen)
        return numpy.ascontiguousarray(numpy.asarray(page.convert("RGB"))[:, :, ::-1]), shrunk
    except (OSError, SyntaxError, ValueError):
        raise _unreadable(image_data) from None


def _too_large() -> ValueError:
    return ValueError(f"the image has more than {_MOST_PIXELS // 1_000_000} million pixels; send a smaller one")


def _unreadable(image_data: bytes) -> ValueError:
    text = f"the {len(image_data)} bytes sent are no image that can be read; send PNG, JPEG, WebP, TIFF or BMP"
    return ValueError(text)


def _shrunk(picture: Any) -> tuple[Any, int]:
    times = math.ceil(max(picture.size) / _MOST_PX)
    if times > 1 and picture.mode not in ("L", "LA", "RGB", "RGBA"):
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    return (picture.reduce(times) if times > 1 else picture), times


def enlarged(line: TextBox, times: int) -> TextBox:
    """The line in the pixels of the image as it was sent."""
    a, b, c, d = ((x * times, y * times) for x, y in line.box)
    return replace(line, box=(a, b, c, d))


def succeeded(lines: list[TextBox]) -> dict[str, Any]:
    boxes = [
        {"text": line.text, "confidence": round(line.confidence, 4), "box": [list(p) for p in line.box]}
        for line in lines
    ]
    return {"text_boxes": boxes, "full_text": "\n".join(line.text for line in lines), "status": "success"}


def failed(reason: str) -> dict[str, Any]:
    return {"text_boxes": [], "full_text": "", "status": "failed", "error": reason}

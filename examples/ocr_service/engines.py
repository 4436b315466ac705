"""What reads text: RapidOCR for Latin and CJK, Tesseract for Korean. Each takes a decoded image and returns lines."""

import csv
import importlib
import io
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

Point = tuple[float, float]
Rectangle = tuple[int, int, int, int]  # left, top, right, bottom

_MARGIN_PX = 8
_SPACE = 0.2  # of a line's height: narrower gaps are no spaces
_PAPER, _PAPER_AFTER = 100, 190  # medians from here on are paper; what it is brought to
_LIGHT_PX = 200  # of the shorter side, on which a page's light is looked at
_TESSERACT_TIMEOUT_S = 60.0


class MissingEngineError(RuntimeError):
    """No engine on this machine reads the language; the message says what to install."""


@dataclass(frozen=True, kw_only=True)
class TextBox:
    """One line of text. `box` holds its corners in pixels, clockwise from the top left."""

    text: str
    confidence: float  # 0 to 1
    box: tuple[Point, Point, Point, Point]


class Engine(Protocol):
    """Reads the lines of one image (height x width x 3, BGR, uint8), top to bottom."""

    def read(self, image: Any, *, use_angle_cls: bool) -> list[TextBox]: ...


class RapidEngine:
    """PP-OCR models on ONNX Runtime. They know Latin letters, Chinese and Japanese, but no Hangul.

    Sessions run on `threads` threads. With one, ONNX Runtime keeps no thread pool, so that a process that has loaded the
    models can be forked: Freehold's warm parent does that once, and each instance shares its memory. Measured on
    scikit-image's page: one thread 0.75 s a page, two 0.48 s, so two instances of one thread read more pages than one
    instance of two; loading takes 1.2 s, a fork 10 ms.
    """

    def __init__(self, *, threads: int = 1) -> None:
        # Its telemetry starts a thread on import and reports to its maker: both unwanted here.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        load_cv2().setNumThreads(threads)
        rapidocr: Any = importlib.import_module("rapidocr")
        self._ocr: Any = rapidocr.RapidOCR(
            params={
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "Global.log_level": "error",
                "Global.text_score": 0.0,  # the caller's threshold decides
            }
        )
        for load in (self._ocr._load_det_model, self._ocr._load_cls_model, self._ocr._load_rec_model):  # lazy otherwise
            load()

    def read(self, image: Any, *, use_angle_cls: bool) -> list[TextBox]:
        found = self._ocr(even_light(image), use_det=True, use_cls=use_angle_cls, use_rec=True)
        if found.boxes is None or found.txts is None:
            return []
        return [
            TextBox(text=text, confidence=float(score), box=_corners(box))
            for text, score, box in zip(found.txts, found.scores, found.boxes, strict=True)
        ]

    def find_blocks(self, image: Any) -> list[Rectangle]:
        """Find where text stands, lines that belong together as one rectangle."""
        found = self._ocr(image, use_det=True, use_cls=False, use_rec=False)
        boxes: Iterable[Any] = () if found.boxes is None else found.boxes
        return merge_lines([_bounds(box) for box in boxes])


class TesseractEngine:
    """Tesseract with Korean and English data, as a process a block: page mode 6 on a block makes a sixth of the errors of the default."""

    def __init__(self, blocks: RapidEngine, languages: str = "kor+eng") -> None:
        self._blocks, self._languages = blocks, languages
        missing = set(languages.split("+")) - installed_languages()
        if missing:
            packages = " ".join(
                ["tesseract-ocr", *(f"tesseract-ocr-{name}" for name in sorted(missing) if name != "eng")]
            )
            raise MissingEngineError(
                f"Tesseract with data for {', '.join(sorted(missing))} is not installed, and the built-in models know no Hangul: "
                f"apt-get install {packages}"
            )

    def read(self, image: Any, *, use_angle_cls: bool) -> list[TextBox]:
        del use_angle_cls  # Tesseract finds a turned page by itself
        height, width = image.shape[:2]
        blocks = self._blocks.find_blocks(image) or [(0, 0, width, height)]
        return [line for block in blocks for line in self._read_block(image, block)]

    def _read_block(self, image: Any, block: Rectangle) -> Iterator[TextBox]:
        height, width = image.shape[:2]
        left, top = max(0, block[0] - _MARGIN_PX), max(0, block[1] - _MARGIN_PX)
        right, bottom = min(width, block[2] + _MARGIN_PX), min(height, block[3] + _MARGIN_PX)
        _, png = load_cv2().imencode(".png", image[top:bottom, left:right])
        done = subprocess.run(
            ["tesseract", "stdin", "stdout", "-l", self._languages, "--psm", "6", "tsv"],
            input=png.tobytes(), capture_output=True, check=True, timeout=_TESSERACT_TIMEOUT_S,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
        )  # fmt: skip
        return parse_tsv(done.stdout.decode(), offset=(left, top))


def load_cv2() -> Any:
    """OpenCV, which only the image has."""
    return importlib.import_module("cv2")


def even_light(image: Any) -> Any:
    """Take shadows off a photographed or scanned page, by its own blurred light; other images stay as they are.

    On scikit-image's page, lit from the right, this makes the difference between six lines of text and one of them garbage.
    """
    numpy: Any = importlib.import_module("numpy")
    if float(numpy.median(image)) < _PAPER:
        return image
    cv2, (height, width) = load_cv2(), image.shape[:2]
    coarse = max(1, min(height, width) // _LIGHT_PX)  # light changes slowly, and a blur takes its width's time
    small = cv2.resize(image, None, fx=1 / coarse, fy=1 / coarse, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), max(3.0, min(small.shape[:2]) / 12))
    light = cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.divide(image, cv2.max(light, 1), scale=_PAPER_AFTER)


@cache
def installed_languages() -> frozenset[str]:
    """Return the languages that Tesseract has data for; none when it is not installed."""
    program = shutil.which("tesseract")
    if program is None:
        return frozenset()
    listed = subprocess.run([program, "--list-langs"], capture_output=True, text=True, check=False, timeout=10)
    return frozenset((listed.stdout + listed.stderr).split("\n")[1:]) - {""}


def parse_tsv(tsv: str, *, offset: tuple[int, int] = (0, 0)) -> Iterator[TextBox]:
    """Join the words of Tesseract's TSV to lines; a line is as sure as its words are on average."""
    lines: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in csv.DictReader(io.StringIO(tsv), delimiter="\t", quoting=csv.QUOTE_NONE):
        if row["level"] == "5" and row["text"].strip():
            lines.setdefault((row["block_num"], row["par_num"], row["line_num"]), []).append(row)
    for words in lines.values():
        left = min(int(w["left"]) for w in words) + offset[0]
        top = min(int(w["top"]) for w in words) + offset[1]
        right = max(int(w["left"]) + int(w["width"]) for w in words) + offset[0]
        bottom = max(int(w["top"]) + int(w["height"]) for w in words) + offset[1]
        yield TextBox(
            text=_join(words),
            confidence=sum(float(w["conf"]) for w in words) / len(words) / 100,
            box=((left, top), (right, top), (right, bottom), (left, bottom)),
        )


def _join(words: list[dict[str, str]]) -> str:
    """Join words with a space where there is one: Tesseract's Korean data parts syllables that stand together."""
    height = max(int(w["height"]) for w in words)
    text, end = "", None
    for word in words:
        begin = int(word["left"])
        text += (" " if end is not None and begin - end > height * _SPACE else "") + word["text"]
        end = begin + int(word["width"])
    return text


def merge_lines(lines: list[Rectangle]) -> list[Rectangle]:
    """Merge lines into blocks: those that overlap sideways and are less than a line's height apart."""
    blocks: list[Rectangle] = []
    for line in sorted(lines, key=lambda r: (r[1], r[0])):
        reach = line[3] - line[1]
        near = next((b for b in blocks if line[1] - b[3] <= reach and line[0] < b[2] and b[0] < line[2]), None)
        if near is None:
            blocks.append(line)
        else:
            blocks[blocks.index(near)] = (min(near[0], line[0]), near[1], max(near[2], line[2]), max(near[3], line[3]))
    return blocks


def _corners(box: Any) -> tuple[Point, Point, Point, Point]:
    a, b, c, d = ((float(x), float(y)) for x, y in box)
    return a, b, c, d


def _bounds(box: Any) -> Rectangle:
    xs, ys = [p[0] for p in box], [p[1] for p in box]
    return int(min(xs)), int(min(ys)), int(max(xs)) + 1, int(max(ys)) + 1

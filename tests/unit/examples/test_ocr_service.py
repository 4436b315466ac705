"""The OCR example without its engines: choice by language, threshold, results, Tesseract's table, the web face, the client."""

import asyncio
import io
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from PIL import Image

from ocr_service import model as ocr_model
from ocr_service.engines import MissingEngineError, TesseractEngine, TextBox, merge_lines, parse_tsv
from ocr_service.model import OcrModel, decode
from ocr_service.ocr_client import OCRClient, get_ocr_client
from ocr_service.web import create_app

TSV = """level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext
1\t1\t0\t0\t0\t0\t0\t0\t900\t260\t-1\t
5\t1\t1\t1\t1\t1\t30\t30\t60\t36\t90\t안녕
5\t1\t1\t1\t1\t2\t92\t30\t60\t36\t94\t하세요
5\t1\t1\t1\t1\t3\t180\t32\t80\t36\t98\t세계
5\t1\t1\t1\t2\t1\t30\t90\t60\t36\t80\t둘째
"""


class Played:
    """An engine that has read its lines already."""

    def __init__(self, *lines: tuple[str, float]) -> None:
        self.lines = [TextBox(text=text, confidence=sure, box=((0, 0), (9, 0), (9, 9), (0, 9))) for text, sure in lines]

    def read(self, image: Any, *, use_angle_cls: bool) -> list[TextBox]:
        return self.lines


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> OcrModel:
    def decode(data: bytes) -> tuple[Any, int]:
        if data == b"broken":
            raise ValueError("no image")
        return SimpleNamespace(shape=(7 if data == b"thin" else 100, 5000, 3)), 2 if data == b"large" else 1

    monkeypatch.setattr(ocr_model, "decode", decode)
    return OcrModel({"latin": Played(("Hello", 0.99), ("blurred", 0.3)), "korean": Played(("안녕", 0.9))})


def test_a_language_chooses_its_engine(model: OcrModel) -> None:
    assert model.predict(b"x")["full_text"] == "안녕"
    assert model.predict(b"x", "English")["full_text"] == "Hello"


def test_lines_below_the_threshold_are_left_out(model: OcrModel) -> None:
    assert model.predict(b"x", "english", 0.2)["full_text"] == "Hello\nblurred"
    assert [b["text"] for b in model.predict(b"x", "english", 0.995)["text_boxes"]] == []


def test_a_shrunk_image_has_its_lines_where_they_were_sent(model: OcrModel) -> None:
    assert model.predict(b"large", "english")["text_boxes"][0]["box"] == [[0, 0], [18, 0], [18, 18], [0, 18]]


def test_an_image_too_small_for_a_letter_has_no_text(model: OcrModel) -> None:
    answer = model.predict(b"thin", "english")
    assert (answer["status"], answer["full_text"]) == ("success", "")


def test_an_unknown_language_or_a_broken_image_fails_with_its_reason(model: OcrModel) -> None:
    failed = model.predict(b"x", "klingon")
    assert failed["status"] == "failed"
    assert "klingon" in failed["error"]
    assert "korean" in failed["error"]
    assert model.predict(b"broken", "english")["error"] == "no image"
    assert (model.predictions, model.failures) == (0, 2)


def _png(picture: Image.Image) -> bytes:
    held = io.BytesIO()
    picture.save(held, "PNG")
    return held.getvalue()


def test_what_is_transparent_is_white_paper() -> None:
    picture = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    picture.putpixel((3, 4), (0, 0, 0, 255))
    page, shrunk = decode(_png(picture))
    assert (page.shape, shrunk) == ((10, 20, 3), 1)
    assert page[0, 0].tolist() == [255, 255, 255]
    assert page[4, 3].tolist() == [0, 0, 0]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "I;16"])
def test_every_kind_of_image_becomes_the_same_array(mode: str) -> None:
    page, _ = decode(
        _png(Image.new("RGB", (20, 10), "white").convert(mode) if mode != "I;16" else Image.new(mode, (20, 10), 65535))
    )
    assert page.shape == (10, 20, 3)
    assert page.min() == 255


def test_a_large_image_is_shrunk_by_a_whole_number() -> None:
    for mode in ("1", "L", "P", "RGBA"):
        page, shrunk = decode(_png(Image.new(mode, (6001, 20), 1)))
        assert (page.shape, shrunk) == ((7, 2001, 3), 3)


def test_bytes_that_are_no_image_or_too_many_pixels_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="3 bytes sent are no image"):
        decode(b"abc")
    monkeypatch.setattr(ocr_model, "_MOST_PIXELS", 2_000_000)
    with pytest.raises(ValueError, match="more than 2 million pixels"):
        decode(_png(Image.new("1", (2000, 1500))))


def test_korean_without_tesseract_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocr_service.engines.installed_languages", lambda: frozenset({"eng"}))
    with pytest.raises(MissingEngineError, match="apt-get install tesseract-ocr tesseract-ocr-kor"):
        TesseractEngine(None)  # type: ignore[arg-type]


def test_words_become_lines_and_close_syllables_stay_together() -> None:
    first, second = parse_tsv(TSV, offset=(100, 10))
    assert first.text == "안녕하세요 세계"
    assert first.confidence == pytest.approx(0.94)
    assert first.box == ((130, 40), (360, 40), (360, 78), (130, 78))
    assert second.text == "둘째"


def test_lines_near_each_other_are_one_block() -> None:
    assert merge_lines([(0, 0, 100, 20), (5, 30, 90, 50), (0, 200, 100, 220), (300, 0, 400, 20)]) == [
        (0, 0, 100, 50), (300, 0, 400, 20), (0, 200, 100, 220),
    ]  # fmt: skip


async def test_the_web_face_has_the_guides_endpoints(model: OcrModel) -> None:
    transport = httpx.ASGITransport(create_app(model))
    async with httpx.AsyncClient(transport=transport, base_url="http://ocr") as client:
        for field in ("image", "image_file"):
            answer = await client.post("/predict", files={field: b"x"}, data={"language": "english"})
            assert answer.json()["full_text"] == "Hello"
        answer = await client.post("/api/ocr/extract/sync", files={"image_file": ("scan.png", b"x")})
        assert answer.json()["data"]["full_text"] == "안녕"
        assert answer.json()["data"]["filename"] == "scan.png"
        assert (await client.get("/health")).json() == {"status": "healthy", "model_loaded": True}
        assert "ocr_predictions_total 3" in (await client.get("/metrics")).text
        assert (await client.get("/metrics", headers={"accept": "application/json"})).json()["status"] == "ok"
        assert (await client.post("/predict")).status_code == 422
        assert (await client.post("/predict", files={"image": b"broken"})).json()["status"] == "failed"
        assert (
            await client.post("/predict", files={"image": b"x"}, data={"confidence_threshold": "7"})
        ).status_code == 422


async def test_a_client_without_a_server_returns_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCR_MODEL_SERVER_URL", "http://127.0.0.1:9")
    get_ocr_client.cache_clear()
    client = get_ocr_client()
    assert client.base_url == "http://127.0.0.1:9"
    assert not client.health_check()
    result = await asyncio.to_thread(client.predict, b"x")
    assert result["status"] == "failed"
    assert result["error"]
    assert OCRClient("http://h:1/", timeout=3).base_url == "http://h:1"

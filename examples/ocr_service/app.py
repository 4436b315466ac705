"""The OCR model server as a Freehold app: a class whose instances read images, with the HTTP face beside its method.

freehold run examples/ocr_service/app.py --image scan.png --language english
freehold deploy examples/ocr_service/app.py
"""

from pathlib import Path
from typing import Any

from freehold import App, Image, asgi_app, concurrent, enter, method

image = (
    Image.debian_slim()
    # versions are those of requirements/ocr.txt
    .uv_pip_install("rapidocr==3.10.0", "onnxruntime==1.31.1", "opencv-python-headless==5.0.0.93", "pillow==13.0.0")
    .env({"ORT_DISABLE_TELEMETRY": "1"})
)

app = App("ocr-service", image=image)


@app.cls(cpu=1.0, memory=768, timeout=120, startup_timeout=180, max_containers=2, scaledown_window=300)
@concurrent(max_inputs=16)  # the model reads one image at a time; /health and /metrics answer meanwhile
class Ocr:
    """Reads text from images."""

    @enter(snap=True)
    def load(self) -> None:
        """Load the models once, in the warm parent; see RapidEngine for why that is safe with one thread."""
        from .model import OcrModel

        self.model = OcrModel()
        self.model.load(threads=1)

    @method()
    def predict(
        self, image_data: bytes, language: str = "korean", confidence_threshold: float = 0.5, use_angle_cls: bool = True
    ) -> dict[str, Any]:
        """Read the text of an encoded image."""
        return self.model.predict(image_data, language, confidence_threshold, use_angle_cls)

    @asgi_app(label="ocr")
    def web(self) -> Any:
        """POST /predict, POST /api/ocr/extract/sync, GET /health, GET /metrics."""
        from .web import create_app

        return create_app(self.model)


@app.local_entrypoint()
def main(image: Path, language: str = "korean", confidence_threshold: float = 0.5) -> None:
    """Read the text of an image file.

    Args:
        image: a PNG, JPEG, WebP, TIFF or BMP file.
        language: korean, english, chinese or japanese.
        confidence_threshold: lines that are less sure are left out, 0 to 1.
    """
    result = Ocr().predict.remote(image.read_bytes(), language, confidence_threshold)
    if result["status"] != "success":
        raise SystemExit(f"could not read {image}: {result['error']}")
    print(result["full_text"])

"""The model server alone, without Freehold: `python -m ocr_service.server`, on port 8001."""

import os

import uvicorn

from .model import OcrModel
from .web import create_app


def main() -> None:
    model = OcrModel()
    model.load(threads=os.cpu_count() or 1)
    uvicorn.run(
        create_app(model), host=os.environ.get("OCR_HOST", "127.0.0.1"), port=int(os.environ.get("OCR_PORT", "8001"))
    )


if __name__ == "__main__":
    main()

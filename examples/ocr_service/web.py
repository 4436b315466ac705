"""The HTTP face: the endpoints of the OCR model server, on FastAPI. Runs inside an instance, or alone with `server.py`."""

import asyncio
from typing import Annotated, Any

from fastapi import FastAPI, File, Form, Request, Response, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse

from .model import OcrModel

Threshold = Annotated[float, Form(ge=0, le=1, description="Lines that are less sure are left out.")]


def create_app(model: OcrModel) -> FastAPI:
    """Return the application over a model that is loaded, or will be with its first image."""
    app = FastAPI(title="OCR Model Server", version="1.0.0")

    @app.post("/predict")
    async def predict(
        image: Annotated[UploadFile | None, File(description="The image.")] = None,
        image_file: Annotated[UploadFile | None, File(description="The same, under its other name.")] = None,
        language: Annotated[str, Form()] = "korean",
        confidence_threshold: Threshold = 0.5,
        use_angle_cls: Annotated[bool, Form()] = True,
    ) -> Response:
        """Read the text of an image."""
        upload = image or image_file
        if upload is None:
            return JSONResponse({"detail": "send the image as multipart field 'image' (or 'image_file')"}, 422)
        data = await upload.read()
        # reading takes a second of CPU: on the loop it would hold up /health
        result = await asyncio.to_thread(model.predict, data, language, confidence_threshold, use_angle_cls)
        return JSONResponse(result, 200 if result["status"] == "success" else 422)

    @app.post("/api/ocr/extract/sync")
    async def extract_text_sync(
        image_file: Annotated[UploadFile, File(description="The image.")],
        language: Annotated[str, Form()] = "korean",
        confidence_threshold: Threshold = 0.5,
        use_angle_cls: Annotated[bool, Form()] = True,
    ) -> Response:
        """Read the text of an image; the answer in the web application's envelope."""
        data = await image_file.read()
        result = await asyncio.to_thread(model.predict, data, language, confidence_threshold, use_angle_cls)
        if result["status"] != "success":
            return JSONResponse({"success": False, "message": result["error"], "data": result}, 422)
        return JSONResponse(
            {"success": True, "message": "OCR 텍스트 추출 완료", "data": {**result, "filename": image_file.filename}}
        )

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Tell whether the model is loaded."""
        return {"status": "healthy", "model_loaded": model.is_loaded}

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        """Count predictions: for Prometheus, or as JSON for who asks for it."""
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"status": "ok", **_counts(model)})
        lines = [f"# TYPE ocr_{name} counter\nocr_{name} {value}" for name, value in _counts(model).items()]
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")

    _ = (predict, extract_text_sync, health, metrics)
    return app


def _counts(model: OcrModel) -> dict[str, float]:
    return {
        "predictions_total": model.predictions,
        "failures_total": model.failures,
        "prediction_seconds_total": round(model.seconds, 6),
    }

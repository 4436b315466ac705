"""The OCR model server: reads text from images, over HTTP and from Python."""

"""One chunk: its inputs as tensors, the denoising, the pictures."""

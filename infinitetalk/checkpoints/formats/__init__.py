"""Containers of tensors: reading and writing them from their headers."""

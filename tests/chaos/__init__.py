"""Hurting the real system, and counting every call afterwards: `make chaos`."""

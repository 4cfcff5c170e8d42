"""The modules that a model is put together from. A features dictionary goes in and comes out."""

from __future__ import annotations

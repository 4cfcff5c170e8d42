"""Forward passes through torch, behind the one interface of engines."""

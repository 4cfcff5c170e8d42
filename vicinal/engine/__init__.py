"""The forward pass: one protocol, several engines behind it."""

"""Generated: tools/generate.py."""

"""Optimizers side by side, each in a process of its own that speaks JSON lines.

What the processes run imports the standard library and the peer's library alone, for their interpreters differ.
"""

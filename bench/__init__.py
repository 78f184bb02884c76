"""How fast the hot paths are, each beside the least that its work could cost."""

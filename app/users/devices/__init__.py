"""Browsers that signed somebody in before: guessers elsewhere do not slow them, and they may skip the second step for a while."""

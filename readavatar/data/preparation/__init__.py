"""Preparing clips: a video of one person → a clip store."""

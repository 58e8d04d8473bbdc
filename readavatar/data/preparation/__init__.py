"""A video of one person → a clip store: the face found and followed, cropped and masked."""

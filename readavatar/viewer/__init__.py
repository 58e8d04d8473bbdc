"""The viewer of a clip and its fit: an overlay video and all curves, in one HTML page that works offline.

It shows where a fit is wrong, which the tracking stage's mean errors do not.
"""

from readavatar.viewer.view import ViewSummary, view_clip, view_clips

__all__ = ["ViewSummary", "view_clip", "view_clips"]

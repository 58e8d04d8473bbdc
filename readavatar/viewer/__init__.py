"""Looking at a clip and its fit: an overlay video and all curves in one page that a browser opens offline.

The tracking stage's numbers say how good a fit is on average; this shows where it is wrong.
"""

from readavatar.viewer.view import ViewSummary, view_clip, view_clips

__all__ = ["ViewSummary", "view_clip", "view_clips"]

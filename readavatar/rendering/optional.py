"""What to say where a rasteriser that a backend needs is missing."""

from __future__ import annotations

from readavatar.errors import UserError


def missing_library(library: str, backend: str, installation: str, error: ImportError) -> UserError:
    """The error for a library that does not import.

    Args:
        library: Its name, and the versions that will do.
        backend: The backend that needs it.
        installation: The address of its own installation page.
        error: What importing it raised.
    """
    return UserError(
        f"Expected {library} for backend '{backend}', but it does not import ({error}); install it as {installation} "
        "says, or choose another backend."
    )

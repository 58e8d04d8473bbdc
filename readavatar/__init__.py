"""readavatar: emotional talking avatars of a real person, after READ Avatars (Saunders & Namboodiri, BMVC 2023).

The package is layered; imports go down only (``tests/test_floors.py`` holds it):

0. ``types``, ``emotion``, ``errors``, ``files``, ``pickles``, ``ahead``, ``config_paths``, ``assets``
1. ``media``, ``speech``, ``morphable``, ``rendering``, ``detection``, ``metrics``
2. ``data``, ``gaze``
3. ``tracking``, ``expression``, ``appearance``, ``synthetic``
4. ``directing``, ``doctor``, ``viewer``
5. ``benchmarks``, ``demo``
6. ``cli``
"""

__version__ = "0.1.0"

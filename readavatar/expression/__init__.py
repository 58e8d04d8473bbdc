"""Stage 2: speech and emotion → motion of the face."""

from readavatar.expression.inference import generate_expressions
from readavatar.expression.module import ExpressionModule
from readavatar.expression.networks import ExpressionDiscriminator, ExpressionGenerator

__all__ = ["ExpressionDiscriminator", "ExpressionGenerator", "ExpressionModule", "generate_expressions"]
